import {
  hostMatches,
  isTarget,
  kubernetesHost,
  labelsMatch,
  type Resource,
  serviceFromKubernetes,
  servicesFromServiceEntry,
  shortHostToFqdn,
  type TargetReference,
  targetsOf,
} from "@lateen/mesh-model";

type Labels = Readonly<Record<string, string>>;
type Service = Resource<"Service">;
type Mode = "STRICT" | "PERMISSIVE" | "DISABLE";

/** A rule and what of it matters here. */
export interface RuleFacts {
  readonly kind: string;
  /** `namespace/name` */
  readonly name: string;
  readonly note: string;
}

/** Where a pod lives and what it is called. */
export interface Placed {
  readonly namespace: string;
  readonly labels: Labels;
}

/** Objects of one kind, by namespace and name. */
export function ofKind<K extends Resource["kind"]>(
  objects: readonly Resource[],
  kind: K,
): readonly Extract<Resource, { readonly kind: K }>[] {
  return objects.filter((object): object is Extract<Resource, { readonly kind: K }> => object.kind === kind);
}

/** Services whose selector selects a pod. */
export function servicesOf(objects: readonly Resource[], { namespace, labels }: Placed): readonly Service[] {
  return ofKind(objects, "Service").filter(({ metadata, spec }) => {
    const selector = spec.selector ?? {};
    return metadata.namespace === namespace && Object.keys(selector).length > 0 && labelsMatch(selector, labels);
  });
}

/** What a rule is made of: itself, or the routes, Ingress and policies that its annotation names. */
function nameOf(kind: string, { namespace, name, annotations }: Resource["metadata"]): Omit<RuleFacts, "note"> {
  const parents = annotations?.["internal.istio.io/parents"];
  if (parents === undefined) return { kind, name: `${namespace}/${name}` };
  const kinds = [...new Set(parents.split(",").map((parent) => parent.split("/", 1)[0] ?? ""))];
  const names = parents.split(",").map((parent) => {
    const [, short = "", inNamespace = ""] = /^[^/]*\/(.*)\.([^.]*)$/.exec(parent) ?? [];
    return `${inNamespace}/${short}`;
  });
  return { kind: kinds.join(", "), name: [...new Set(names)].join(", ") };
}

/** Virtual services that name a host, with the gateways they are for. */
export function virtualServicesFor(objects: readonly Resource[], host: string): readonly RuleFacts[] {
  return ofKind(objects, "VirtualService").flatMap(({ metadata, spec }) => {
    const { namespace } = metadata;
    const full = (name: string) => shortHostToFqdn(name, namespace);
    const routes = [...(spec.http ?? []), ...(spec.tls ?? []), ...(spec.tcp ?? [])].flatMap(({ route = [] }) => route);
    const gateways = spec.gateways ?? ["mesh"];
    // At gateways a host says who may come in, not where to.
    const owns = gateways.includes("mesh") && (spec.hosts ?? []).some((name) => hostMatches(full(name), host));
    const leads = routes.some(({ destination }) => full(destination.host) === host);
    if (!owns && !leads) return [];
    const note = `${owns ? "decides for this host" : "leads here"}, for ${gateways.join(", ")}`;
    return [{ ...nameOf("VirtualService", metadata), note }];
  });
}

/** Destination rules for a host; of their subsets those that a pod is in. */
export function destinationRulesFor(
  objects: readonly Resource[],
  host: string,
  labels: Labels | undefined,
): readonly RuleFacts[] {
  return ofKind(objects, "DestinationRule").flatMap(({ metadata, spec }) => {
    if (!hostMatches(shortHostToFqdn(spec.host, metadata.namespace), host)) return [];
    const subsets = (spec.subsets ?? []).filter(
      (subset) => labels === undefined || labelsMatch(subset.labels ?? {}, labels),
    );
    const names = subsets.map(({ name }) => name).join(", ");
    const tls = spec.trafficPolicy?.tls?.mode;
    const notes = [names === "" ? "no subset" : `subset ${names}`, tls === undefined ? "" : `TLS ${tls}`];
    return [
      {
        ...nameOf("DestinationRule", metadata),
        note: notes.filter(Boolean).join(", "),
      },
    ];
  });
}

/** Kinds that are for the workloads that a selector selects, or for a Gateway that they name; all workloads without either. */
const SELECTING = [
  "AuthorizationPolicy",
  "RequestAuthentication",
  "Telemetry",
  "EnvoyFilter",
  "WasmPlugin",
  "ProxyConfig",
  "Sidecar",
] as const;
type Selecting = Resource<(typeof SELECTING)[number]>;

/** Objects that are for a pod: of its namespace, or of the root namespace. */
export function policiesFor(objects: readonly Resource[], pod: Placed, root: string): readonly RuleFacts[] {
  return SELECTING.flatMap((kind) => ofKind<Selecting["kind"]>(objects, kind)).flatMap((object) => {
    const { namespace, name } = object.metadata;
    if (namespace !== pod.namespace && namespace !== root) return [];
    const { labels, targets } = selectionOf(object);
    const isFor =
      targets.length > 0
        ? namespace === pod.namespace && isTarget(targets, pod.labels)
        : labelsMatch(labels, pod.labels);
    return isFor ? [{ kind: object.kind, name: `${namespace}/${name}`, note: noteOf(object) }] : [];
  });
}

function selectionOf(object: Selecting): { readonly labels: Labels; readonly targets: readonly TargetReference[] } {
  switch (object.kind) {
    case "Sidecar":
      return { labels: object.spec.workloadSelector?.labels ?? {}, targets: [] };
    case "ProxyConfig":
      return { labels: object.spec?.selector?.matchLabels ?? {}, targets: [] };
    case "EnvoyFilter":
      return { labels: object.spec?.workloadSelector?.labels ?? {}, targets: object.spec?.targetRefs ?? [] };
    case "AuthorizationPolicy":
    case "RequestAuthentication":
    case "Telemetry":
    case "WasmPlugin":
      return { labels: object.spec?.selector?.matchLabels ?? {}, targets: targetsOf(object.spec ?? {}) };
  }
}

/** What is said of it in one line. */
function noteOf(object: Selecting): string {
  switch (object.kind) {
    case "AuthorizationPolicy": {
      const { action = "ALLOW", provider } = object.spec ?? {};
      return provider?.name === undefined ? action : `${action}, ${provider.name} decides`;
    }
    case "RequestAuthentication":
      return (object.spec?.jwtRules ?? []).map(({ issuer }) => issuer).join(", ");
    case "Telemetry":
      return (["accessLogging", "metrics", "tracing"] as const)
        .filter((part) => object.spec && part in object.spec)
        .join(", ");
    case "EnvoyFilter":
      return [...new Set((object.spec?.configPatches ?? []).map(({ applyTo }) => applyTo))].join(", ");
    case "WasmPlugin":
      return object.spec.phase ?? "";
    case "ProxyConfig":
    case "Sidecar":
      return "";
  }
}

/** What a pod's sidecar accepts, and the policies that say so. */
export interface PeerMode {
  readonly mode: Mode;
  /** By port of the workload, where another mode holds. */
  readonly ports: Readonly<Record<string, string>>;
  readonly policies: readonly string[];
}

/** The nearest policy that says anything wins: for the workload, for its namespace, for the mesh. The oldest of equals counts. */
export function peerMode(objects: readonly Resource[], pod: Placed, root: string): PeerMode {
  const all = [...ofKind(objects, "PeerAuthentication")].sort((a, b) => age(a) - age(b));
  const selects = (one: (typeof all)[number]) => Object.keys(one.spec?.selector?.matchLabels ?? {}).length > 0;
  const own = all.find(
    (one) =>
      one.metadata.namespace === pod.namespace &&
      selects(one) &&
      labelsMatch(one.spec?.selector?.matchLabels ?? {}, pod.labels),
  );
  const ofNamespace = all.find((one) => one.metadata.namespace === pod.namespace && !selects(one));
  const ofMesh = all.find((one) => one.metadata.namespace === root && !selects(one));
  const chain = [own, ofNamespace, ofMesh].filter((one) => one !== undefined);
  const set = chain.map((one) => one.spec?.mtls?.mode).find((mode) => mode !== undefined && mode !== "UNSET");
  const ports = Object.entries(own?.spec?.portLevelMtls ?? {}).map(
    ([port, { mode = "UNSET" }]) => [port, mode] as const,
  );
  return {
    mode: (set as Mode | undefined) ?? "PERMISSIVE",
    ports: Object.fromEntries(ports.filter(([, mode]) => mode !== "UNSET")),
    policies: [...new Set(chain.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`))],
  };
}

function age({ metadata }: Resource): number {
  return Date.parse(metadata.creationTimestamp ?? "") || 0;
}

/** Ports of a service with the protocol that the mesh takes them for: `http 9080 → 9080 (HTTP)`. */
export function portsOf(service: Service): readonly string[] {
  return serviceFromKubernetes(service).ports.map(
    ({ name, number, targetPort, protocol }) => `${name || "unnamed"} ${number} → ${targetPort} (${protocol})`,
  );
}

/** The host of a Service, or of the ServiceEntry of this name. */
export function hostsOf(objects: readonly Resource[], namespace: string, name: string): readonly string[] {
  if (ofKind(objects, "Service").some(({ metadata }) => metadata.namespace === namespace && metadata.name === name)) {
    return [kubernetesHost(name, namespace)];
  }
  return ofKind(objects, "ServiceEntry")
    .filter(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
    .flatMap((entry) => servicesFromServiceEntry(entry).map(({ host }) => host));
}
