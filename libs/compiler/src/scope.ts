import {
  GATEWAY_NAME_LABEL,
  type LocalityLbSetting,
  localityOf,
  PROXY_CONFIG_ANNOTATION,
  type ProxyDefaults,
  proxyDefaultsWith,
  type Resource,
  type TargetReference,
  targetsOf,
} from "@lateen/mesh-model";
import { INGRESS_LABEL } from "./convert/ingress.ts";
import { defineQuery, type Query, type Read } from "./engine/query-engine.ts";
import type { Labels } from "./lower/proto.ts";
import type { XdsNode } from "./node.ts";
import { sameJson, sameList } from "./resource.ts";
import { cells } from "./world/mesh-snapshot.ts";
import { hasNetworks, networkOf } from "./world/networks.ts";
import { conditionsMet } from "./world/proxy-conditions.ts";
import { keysOf, meshConfigOf, nodeLocality } from "./world/services.ts";

/**
 * All that a part of a proxy's output may depend on besides the mesh. It has no address and no pod name, and of the labels only
 * those that some selector of its kind mentions, so replicas and most workloads of a namespace share one scope.
 */
export interface ProxyScope {
  /** Equal scopes have equal ids. */
  readonly id: string;
  readonly kind: XdsNode["kind"];
  readonly namespace: string;
  readonly labels: Labels;
  readonly lateen: boolean;
  readonly http2: boolean;
  readonly extensions: readonly string[];
  /** `region/zone/subzone` of a client; empty: unknown. */
  readonly locality?: string;
  /** Network of a client, where there is more than one. */
  readonly network?: string;
  /** Machine of a client, where that matters to some service. */
  readonly machine?: string;
  /** Settings of this proxy where they differ from the mesh's. */
  readonly own?: OwnSettings;
  /** What EnvoyFilters and WasmPlugins ask of proxies and this one is; of workloads only. */
  readonly proxy?: readonly string[];
}

/** A scope together with what only the workload's own ports depend on. */
export interface WorkloadScope extends ProxyScope {
  readonly containerPorts: XdsNode["containerPorts"];
  /** See {@link XdsNode.bindAddress}; left out when there is none. */
  readonly bindAddress?: string;
  /** See {@link NodeCapabilities.redirected}; left out when it is not. */
  readonly redirected?: true;
}

/** A proxy as the queries see it: as a client of other services, and as the server of its own ports. */
export interface NodeScope {
  readonly id: string;
  readonly client: ProxyScope;
  readonly workload: WorkloadScope;
}

/** Settings that one proxy may have to itself. */
export type OwnSettings = Pick<ProxyDefaults, "proxyHeaders" | "gatewayTopology">;

type SelectingKind = Parameters<typeof keysOf>[1];

/** Kinds whose selectors decide what a client sees, and those that decide what a workload serves. */
const CLIENT_KINDS: readonly SelectingKind[] = ["Sidecar", "VirtualService", "DestinationRule", "Telemetry"];
const WORKLOAD_KINDS: readonly SelectingKind[] = [
  "Sidecar",
  "Service",
  "ServiceEntry",
  "Gateway",
  "Ingress",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "RequestAuthentication",
  "WasmPlugin",
  "EnvoyFilter",
  "Telemetry",
];

const labelsOfObject = defineQuery<string, readonly string[]>({
  name: "labelsOfObject",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as Resource | undefined;
    if (object === undefined) return [];
    return [...new Set(selectorsOf(object).flatMap((labels) => Object.keys(labels ?? {})))].sort();
  },
  equal: sameList,
});

function mentionedLabels(
  name: string,
  kinds: readonly SelectingKind[],
  always: (read: Read) => readonly string[] = () => [],
): Query<"", readonly string[]> {
  return defineQuery<"", readonly string[]>({
    name,
    compute: (read) => {
      const found = new Set<string>(always(read));
      for (const kind of kinds) {
        for (const key of keysOf(read, kind)) for (const label of read.ask(labelsOfObject, key)) found.add(label);
      }
      return [...found].sort();
    },
    equal: sameList,
  });
}

const clientLabels = mentionedLabels("clientLabels", CLIENT_KINDS, (read) => [
  ...Object.keys(failoverLabels(meshConfigOf(read).localityLbSetting)),
  ...traceLabels(read),
]);
const workloadLabels = mentionedLabels("workloadLabels", WORKLOAD_KINDS, traceLabels);

/** Labels that name a workload in traces, where any are made. */
function traceLabels(read: Read): readonly string[] {
  const { extensionProviders } = meshConfigOf(read);
  return extensionProviders.some(({ zipkin, opentelemetry }) => zipkin ?? opentelemetry) ? TRACE_LABELS : [];
}
const TRACE_LABELS: readonly string[] = [
  "app",
  "service.istio.io/canonical-name",
  "service.istio.io/canonical-revision",
  "version",
];

function selectorsOf(object: Resource): readonly (Labels | undefined)[] {
  switch (object.kind) {
    case "Service":
    case "Gateway":
      return [object.spec.selector];
    case "Ingress":
      return [{ [INGRESS_LABEL]: "" }];
    case "Sidecar":
    case "ServiceEntry":
      return [object.spec.workloadSelector?.labels];
    case "PeerAuthentication":
      return [object.spec?.selector?.matchLabels];
    case "AuthorizationPolicy":
    case "RequestAuthentication":
    case "Telemetry":
    case "WasmPlugin":
      return [object.spec?.selector?.matchLabels, targetLabels(targetsOf(object.spec ?? {}))];
    case "EnvoyFilter":
      return [object.spec?.workloadSelector?.labels, targetLabels(targetsOf(object.spec ?? {}))];
    case "DestinationRule": {
      const { trafficPolicy, subsets = [], workloadSelector } = object.spec;
      const policies = [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)];
      const balancers = policies.flatMap((policy) => [
        policy?.loadBalancer,
        ...(policy?.portLevelSettings ?? []).map((port) => port.loadBalancer),
      ]);
      return [
        workloadSelector?.matchLabels,
        ...balancers.flatMap((one) => [
          failoverLabels(one?.localityLbSetting),
          failoverLabels(one?.zoneAwareLbSetting),
        ]),
      ];
    }
    case "VirtualService": {
      const { http = [], tcp = [], tls = [] } = object.spec;
      return [...http, ...tcp, ...tls].flatMap((rule) => (rule.match ?? []).map((match) => match.sourceLabels));
    }
    default:
      return [];
  }
}

/** The label by which a proxy belongs to a Gateway that is named. */
function targetLabels(targets: readonly TargetReference[]): Labels | undefined {
  return targets.length === 0 ? undefined : { [GATEWAY_NAME_LABEL]: "" };
}

/** Labels that decide how far an endpoint is from the client. */
function failoverLabels(setting: Pick<LocalityLbSetting, "failoverPriority"> | undefined): Labels {
  return Object.fromEntries((setting?.failoverPriority ?? []).map((text) => [text.split("=", 1)[0] ?? "", ""]));
}

/** The scopes of a node. Reads which labels are mentioned, so it may become another one when configuration changes. */
export function scopeOf(read: Pick<Read, "ask">, node: XdsNode): NodeScope {
  const { lateen, http2, extensions } = node.capabilities;
  const base = { kind: node.kind, namespace: node.namespace, lateen, http2, extensions, ...ownSettings(read, node) };
  const locality = node.locality === "" ? read.ask(localityOfPod, `${node.namespace}/${node.pod}`) : node.locality;
  const pod = `${node.namespace}/${node.pod}`;
  const network = hasNetworks(read) ? node.network || read.ask(networkOfPod, { pod, address: node.address }) : "";
  const bound = read.ask(machineMatters, "");
  const machine = bound ? node.machine || read.ask(machineOfPod, `${node.namespace}/${node.pod}`) : "";
  const place = { locality, ...(network === "" ? {} : { network }), ...(machine === "" ? {} : { machine }) };
  const client = { ...base, ...place, labels: pick(node.labels, read.ask(clientLabels, "")) };
  const workload = {
    ...base,
    labels: pick(node.labels, read.ask(workloadLabels, "")),
    proxy: conditionsMet(read, node),
    containerPorts: node.containerPorts,
    ...(node.bindAddress === undefined ? {} : { bindAddress: node.bindAddress }),
    ...(node.capabilities.redirected ? { redirected: true as const } : {}),
  };
  const clientId = JSON.stringify(client);
  const workloadId = JSON.stringify(workload);
  return {
    id: `${clientId} ${workloadId}`,
    client: { ...client, id: clientId },
    workload: { ...workload, id: workloadId },
  };
}

/** What the pod's annotation, or without a known pod the proxy itself, says over the mesh's `defaultConfig`. */
function ownSettings(read: Pick<Read, "ask">, node: XdsNode): Pick<ProxyScope, "own"> {
  const pod = read.ask(annotationOfPod, `${node.namespace}/${node.pod}`);
  const text = pod === "unknown" ? node.proxyConfig : pod.text;
  const own = text === undefined ? undefined : read.ask(settingsIn, text);
  if (own === undefined) return {};
  const { gatewayTopology, ...everywhere } = own;
  const said = node.kind === "router" ? { ...everywhere, gatewayTopology } : everywhere;
  return Object.values(said).some((value) => value !== undefined) ? { own: said } : {};
}

const annotationOfPod = defineQuery<string, "unknown" | { readonly text: string | undefined }>({
  name: "annotationOfPod",
  compute: (read, key) => {
    const pod = read.input(cells.object(`Pod/${key}`)) as Resource<"Pod"> | undefined;
    return pod === undefined ? "unknown" : { text: pod.metadata.annotations?.[PROXY_CONFIG_ANNOTATION] };
  },
  equal: sameJson,
});

/** Settings as they are with a ProxyConfig; undefined: they are the mesh's. */
const settingsIn = defineQuery<string, OwnSettings | undefined>({
  name: "settingsIn",
  compute: (read, text) => {
    const config = meshConfigOf(read);
    const merged = proxyDefaultsWith(text, config);
    if (merged === undefined) return undefined;
    const { proxyHeaders, gatewayTopology } = merged;
    const { defaultConfig: mesh } = config;
    const own = { proxyHeaders, gatewayTopology };
    return sameJson(own, { proxyHeaders: mesh.proxyHeaders, gatewayTopology: mesh.gatewayTopology }) ? undefined : own;
  },
  equal: sameJson,
});

/** Where a pod runs, for proxies that do not say it: by its labels, else by those of its machine. */
const localityOfPod = defineQuery<string, string>({
  name: "localityOfPod",
  compute: (read, key) => {
    const pod = read.input(cells.object(`Pod/${key}`)) as Resource<"Pod"> | undefined;
    if (pod === undefined) return "";
    const own = localityOf(pod.metadata.labels ?? {});
    const { nodeName } = pod.spec;
    return own !== "" || !nodeName ? own : read.ask(nodeLocality, nodeName);
  },
});

/** The network of a pod, for proxies that do not say it. */
const networkOfPod = defineQuery<{ readonly pod: string; readonly address: string }, string>({
  name: "networkOfPod",
  compute: (read, { pod: key, address }) => {
    const pod = read.input(cells.object(`Pod/${key}`)) as Resource<"Pod"> | undefined;
    return pod?.metadata.labels?.["topology.istio.io/network"] || networkOf(read, address);
  },
});

/** The machine of a pod, for proxies that do not say it. */
const machineOfPod = defineQuery<string, string>({
  name: "machineOfPod",
  compute: (read, key) => (read.input(cells.object(`Pod/${key}`)) as Resource<"Pod"> | undefined)?.spec.nodeName ?? "",
});

const machineMatters = defineQuery<"", boolean>({
  name: "machineMatters",
  compute: (read) => read.input(cells.machineServices) !== undefined,
});

function pick(labels: Labels, names: readonly string[]): Labels {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = labels[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

/** Query keys for arguments that hold a scope. */
export const scopeKey = (scope: { readonly id: string }): string => scope.id;
export const scopePortKey = (argument: { readonly scope: ProxyScope; readonly port: number }): string =>
  `${argument.port} ${argument.scope.id}`;
