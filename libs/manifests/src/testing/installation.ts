import type { PermissionTable } from "../install/components.ts";
import type { ManifestParts } from "../install/manifest.ts";
import type { Fields, KubernetesObject } from "../install/objects.ts";

const one = { cluster: [{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }], own: [] };

/** Some rights for every component. */
const somePermissions: PermissionTable = {
  pilot: one,
  galley: one,
  citadel: {
    cluster: [],
    own: [{ apiGroups: [""], resources: ["secrets"], verbs: ["get"], resourceNames: ["cacerts"] }],
  },
  mixer: one,
  "sidecar-injector": one,
  "control-plane": one,
};

/** A value deep in an object: `spec.template.spec`. */
export function at(value: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((inner, name) => (inner as Fields | undefined)?.[name], value);
}

/** The pod that a Deployment or StatefulSet makes. */
export function podOf(object: KubernetesObject) {
  return at(object, "spec.template") as {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: Fields & {
      readonly containers: readonly (Fields & {
        readonly name: string;
        readonly image: string;
        readonly args?: readonly string[];
        readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
        readonly volumeMounts: readonly { readonly name: string }[];
      })[];
      readonly volumes: readonly (Fields & { readonly name: string })[];
    };
  };
}

/** What an installation is made of besides, some of it. */
export const someParts: ManifestParts = {
  permissions: somePermissions,
  injection: [
    { name: "namespace", namespaceSelector: { matchLabels: { "istio-injection": "enabled" } }, objectSelector: {} },
  ],
};
