import { readFileSync } from "node:fs";
import { kubernetesPermissions, type PermittedComponent } from "@lateen/adapter-kubernetes";

/** A request of a component, as the API server has written it down. */
export interface Asked {
  readonly component: PermittedComponent;
  readonly verb: string;
  readonly group: string;
  /** With its subresource: `pods/status`. */
  readonly resource: string;
  readonly code: number;
  readonly path: string;
}

interface Line {
  readonly user: { readonly username: string };
  readonly verb: string;
  readonly requestURI: string;
  readonly objectRef?: { readonly apiGroup?: string; readonly resource?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number };
}

/** What the components of the mesh have asked of the API server so far. */
export function asked(): readonly Asked[] {
  const text = readFileSync(process.env.LATEEN_TEST_AUDIT ?? "", "utf8");
  return text.split("\n").flatMap((line) => {
    if (line === "") return [];
    const { user, verb, requestURI, objectRef, responseStatus } = JSON.parse(line) as Line;
    const name = /^system:serviceaccount:istio-system:istio-(.*)-service-account$/.exec(user.username)?.[1];
    if (name === undefined || !Object.hasOwn(kubernetesPermissions, name)) return [];
    const { apiGroup = "", resource = "", subresource } = objectRef ?? {};
    return {
      component: name as PermittedComponent,
      verb,
      group: apiGroup,
      resource: subresource === undefined ? resource : `${resource}/${subresource}`,
      code: responseStatus?.code ?? 0,
      path: requestURI,
    };
  });
}

/** Rights of a component that nothing was asked by. */
export function unused(component: PermittedComponent, requests: readonly Asked[]): readonly string[] {
  const { cluster, own } = kubernetesPermissions[component];
  const used = new Set(
    requests
      .filter((one) => one.component === component)
      .map(({ group, resource, verb }) => `${verb} ${resource}.${group}`),
  );
  const all = [...cluster, ...own].flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.map((verb) => ({ verb, group, resource, text: `${verb} ${resource}.${group}` })),
      ),
    ),
  );
  const usedAny = ({ verb, group, resource, text }: (typeof all)[number]) =>
    resource === "*"
      ? [...used].some((one) => one.startsWith(`${verb} `) && one.endsWith(`.${group}`))
      : used.has(text);
  return [...new Set(all.filter((one) => !usedAny(one)).map(({ text }) => text))].sort();
}
