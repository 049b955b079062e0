import { type Gateway, type Ingress, kubernetesHost } from "@lateen/mesh-model";
import type { HttpRule, Precedence, RankedRule, RouteFragment } from "./fragments.ts";
import { annotations, createdMs, INGRESS_MARK, parentName } from "./names.ts";
import type { ConvertWorld } from "./world.ts";

/** The IngressClass controller that means this mesh. */
const INGRESS_CONTROLLER = "istio.io/ingress-controller";
const CLASS_ANNOTATION = "kubernetes.io/ingress.class";
/** The label that tells the gateway which serves Ingress. */
export const INGRESS_LABEL = "istio";

type Spec = NonNullable<Ingress["spec"]>;
type IngressBackend = NonNullable<Spec["defaultBackend"]>;
type IngressPath = NonNullable<NonNullable<Spec["rules"]>[number]["http"]>["paths"][number];

/** An Ingress as a Gateway of the ingress gateway and fragments of virtual services, one for each host. */
export interface ConvertedIngress {
  readonly gateway: Gateway;
  readonly fragments: readonly RouteFragment[];
  /** Where it is served, for `status.loadBalancer`; empty while the gateway has no service. */
  readonly addresses: readonly string[];
}

/** Whether an Ingress is this mesh's: by its class, or by the older annotation, which wins, or as one of no class. */
export function isOurIngress(ingress: Ingress, world: ConvertWorld): boolean {
  const { controllerMode, ingressClass } = world.ingress;
  if (controllerMode === "OFF") return false;
  const annotation = ingress.metadata.annotations?.[CLASS_ANNOTATION];
  if (annotation !== undefined) return annotation === ingressClass;
  const name = ingress.spec?.ingressClassName;
  if (name === undefined) return controllerMode === "DEFAULT";
  const known = world.ingressClass(name);
  return known === undefined ? name === ingressClass : known.spec?.controller === INGRESS_CONTROLLER;
}

/** Converts an Ingress; undefined when it is another controller's. */
export function convertIngress(ingress: Ingress, world: ConvertWorld): ConvertedIngress | undefined {
  if (!isOurIngress(ingress, world)) return undefined;
  const gateway = ingressGateway(ingress, world);
  const name = `${world.rootNamespace}/${gateway.metadata.name}`;
  const service = world.service(kubernetesHost(world.ingress.service, world.rootNamespace, world.domain));
  return {
    gateway,
    fragments: [...rulesByHost(ingress, world)].map(([host, http], index) => ({
      group: `ingress ${host}`,
      source: {
        parent: parentName(ingress),
        namespace: ingress.metadata.namespace,
        name: ingress.metadata.name,
        created: createdMs(ingress),
      },
      index,
      semantics: "ingress" as const,
      hosts: [host],
      gateways: [name],
      exportTo: ["*"],
      http,
      tls: [],
      tcp: [],
    })),
    addresses: service?.addresses ?? [],
  };
}

function ingressGateway(ingress: Ingress, world: ConvertWorld): Gateway {
  const { namespace, name, creationTimestamp } = ingress.metadata;
  const suffix = `ingress-${name}-${namespace}`;
  const secure = (ingress.spec?.tls ?? []).flatMap(({ hosts = ["*"], secretName }, index) =>
    secretName === undefined
      ? []
      : [
          {
            port: { number: 443, protocol: "HTTPS", name: `https-443-${suffix}-${index}` },
            hosts,
            tls: { mode: "SIMPLE" as const, credentialName: credential(secretName, namespace, world) },
          },
        ],
  );
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: {
      name: `${name}-${INGRESS_MARK}-${namespace}`,
      namespace: world.rootNamespace,
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      annotations: { [annotations.parents]: parentName(ingress), [annotations.semantics]: "ingress" },
    },
    spec: {
      selector: { [INGRESS_LABEL]: world.ingress.selector },
      servers: [...secure, { port: { number: 80, protocol: "HTTP", name: `http-80-${suffix}` }, hosts: ["*"] }],
    },
  };
}

/** A Secret beside the Ingress, as Kubernetes has it, else one beside the gateway, as Istio's users are used to. */
function credential(name: string, namespace: string, world: ConvertWorld): string {
  return world.secret(namespace, name) === undefined ? name : `kubernetes-gateway://${namespace}/${name}`;
}

function rulesByHost(ingress: Ingress, world: ConvertWorld): ReadonlyMap<string, readonly RankedRule[]> {
  const { namespace, name } = ingress.metadata;
  const { rules = [], defaultBackend } = ingress.spec ?? {};
  const byHost = new Map<string, RankedRule[]>();
  for (const [index, rule] of rules.entries()) {
    const host = rule.host?.toLowerCase() || "*";
    const list = byHost.get(host) ?? [];
    byHost.set(host, list);
    for (const [at, path] of (rule.http?.paths ?? []).entries()) {
      const uri = uriOf(path);
      list.push({
        precedence: precedenceOf(uri),
        rule: {
          ...action(path.backend, namespace, world),
          ...(uri === undefined ? {} : { match: [{ uri }] }),
        },
        origin: `Ingress ${namespace}/${name} rules[${index}].http.paths[${at}]`,
      });
    }
  }
  if (defaultBackend !== undefined) {
    if (!byHost.has("*")) byHost.set("*", []);
    const last: RankedRule = {
      precedence: { ...precedenceOf(undefined), path: 0, pathLength: -1 },
      rule: action(defaultBackend, namespace, world),
      origin: `Ingress ${namespace}/${name} defaultBackend`,
    };
    for (const list of byHost.values()) list.push(last);
  }
  return byHost;
}

type Uri = NonNullable<NonNullable<HttpRule["match"]>[number]["uri"]>;

/** `*` at the end of an implementation-specific path makes it a prefix, as Istio reads it. */
function uriOf({ path = "", pathType }: IngressPath): Uri | undefined {
  switch (pathType) {
    case "Exact":
      return { exact: path };
    case "Prefix": {
      const prefix = path.replace(/\/+$/, "");
      return prefix === "" ? undefined : { prefix };
    }
    case "ImplementationSpecific": {
      if (["", "*", "/*", ".*"].includes(path)) return undefined;
      const prefix = path.replace(/(\.\*|\/\*)$/, "");
      if (prefix === path) return { exact: path };
      return prefix === "" || prefix === "/" ? undefined : { prefix };
    }
  }
}

function precedenceOf(uri: Uri | undefined): Precedence {
  const text = uri?.exact ?? uri?.prefix ?? "";
  // Kubernetes: the longest path first, and of two equally long ones the exact one.
  return {
    path: uri === undefined ? 0 : 2,
    pathLength: text.length,
    method: uri?.exact !== undefined,
    headers: 0,
    queryParams: 0,
  };
}

/** A backend that is not there answers 503, as an Ingress without endpoints does. */
function action(backend: IngressBackend, namespace: string, world: ConvertWorld): HttpRule {
  const { name = "", port } = backend.service ?? {};
  const host = kubernetesHost(name, namespace, world.domain);
  const service = world.service(host);
  const number = port?.number ?? service?.ports.find((candidate) => candidate.name === port?.name)?.number;
  const known = service?.ports.some((candidate) => candidate.number === number) ?? false;
  if (!known || number === undefined) return { directResponse: { status: 503 } };
  return { route: [{ destination: { host, port: { number } }, weight: 100 }] };
}
