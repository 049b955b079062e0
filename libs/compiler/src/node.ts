import { err, ok, type Result } from "@lateen/kernel";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";

/** What the node says it can run. */
export interface NodeCapabilities {
  /** A proxy of this project: it lists its capabilities and extensions. */
  readonly lateen: boolean;
  readonly http2: boolean;
  /** Extensions of Istio's own that it runs, such as `istio.stats`; sorted. */
  readonly extensions: readonly string[];
  /** Of a proxy of this project: the application is at the pod's own and loopback addresses, not where the proxy was told. Default false. */
  readonly redirected?: boolean;
}

/** A connected proxy as the compiler sees it. */
export interface XdsNode {
  readonly id: string;
  readonly kind: "sidecar" | "router";
  readonly address: string;
  readonly pod: string;
  readonly namespace: string;
  /** `default.svc.cluster.local` */
  readonly domain: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly clusterId: string;
  readonly containerPorts: readonly { readonly name: string; readonly port: number }[];
  readonly capabilities: NodeCapabilities;
  /** What the node is: Envoy or a proxy like it, or a gRPC library without a proxy. */
  readonly generator: "proxy" | "grpc";
  /** `region/zone/subzone` as far as it is known; empty: not at all. */
  readonly locality: string;
  /** Network the proxy is in; empty: the mesh has one. */
  readonly network: string;
  /** Name of the machine it runs on; empty: unknown. */
  readonly machine: string;
  /** WorkloadGroup of its namespace that it registers itself in; empty: none. */
  readonly autoRegisterGroup: string;
  /** Address that listeners of every address are to be bound at instead, where the machine is shared. */
  readonly bindAddress?: string;
  /** Version the proxy says it is, `ISTIO_VERSION`. */
  readonly version?: string;
  /** Metadata that is short text, for EnvoyFilters that ask for it. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** ProxyConfig that it says it was started with, as JSON: what `proxyHeaders` and `gatewayTopology` are about. */
  readonly proxyConfig?: string;
  /** Types of configuration that its filters take; undefined: it does not list them. */
  readonly types?: ReadonlySet<string> | undefined;
}

/**
 * Reads an xDS node: id `sidecar~<ip>~<pod>.<ns>~<ns>.svc.<domain>` and the metadata Istio's agents send. Nodes without
 * `LATEEN_CAPABILITIES` are taken for Envoy, which can run everything but our extensions.
 */
export function nodeFromProto(node: Node): Result<XdsNode, string> {
  const [kind, address, workload, domain, extra] = node.id.split("~");
  if (kind === undefined || address === undefined || workload === undefined || !domain || extra !== undefined) {
    return err(`node id "${node.id}" is not of the form sidecar~ip~pod.namespace~domain`);
  }
  if (kind !== "sidecar" && kind !== "router")
    return err(`node type "${kind}" is not served: sidecar or router expected`);
  const dot = workload.lastIndexOf(".");
  if (dot <= 0 || dot === workload.length - 1) return err(`node id "${node.id}": "${workload}" is not pod.namespace`);
  const metadata: Readonly<Record<string, unknown>> = node.metadata ?? {};
  const bindAddress = ipLiteral(metadata.LATEEN_BIND_ADDRESS);
  const namespace = text(metadata.NAMESPACE) || workload.slice(dot + 1);
  if (namespace !== workload.slice(dot + 1)) {
    return err(`node id "${node.id}" and its metadata NAMESPACE "${namespace}" disagree`);
  }
  return ok({
    id: node.id,
    kind,
    address,
    pod: workload.slice(0, dot),
    namespace,
    domain,
    labels: stringMap(metadata.LABELS),
    serviceAccount: text(metadata.SERVICE_ACCOUNT) || "default",
    clusterId: text(metadata.CLUSTER_ID),
    containerPorts: podPorts(metadata.POD_PORTS),
    capabilities: capabilities(metadata),
    generator: metadata.GENERATOR === "grpc" ? "grpc" : "proxy",
    locality: localityText(node.locality),
    network: text(metadata.NETWORK) || stringMap(metadata.LABELS)["topology.istio.io/network"] || "",
    machine: text(metadata.NODE_NAME),
    autoRegisterGroup: text(metadata.AUTO_REGISTER_GROUP),
    ...(bindAddress === "" ? {} : { bindAddress }),
    version: text(metadata.ISTIO_VERSION),
    metadata: shortTexts(metadata),
    ...proxyConfig(metadata.PROXY_CONFIG),
    types: filterTypes(node),
  });
}

/** Agents send all of it; what is too long to be meant is left out. */
function proxyConfig(sent: unknown): Pick<XdsNode, "proxyConfig"> {
  if (typeof sent !== "object" || sent === null) return {};
  const { proxyHeaders, gatewayTopology } = sent as Readonly<Record<string, unknown>>;
  if (proxyHeaders === undefined && gatewayTopology === undefined) return {};
  const text = JSON.stringify({ proxyHeaders, gatewayTopology });
  return text.length > MOST_SETTINGS ? {} : { proxyConfig: text };
}
const MOST_SETTINGS = 4096;

/** What EnvoyFilters may ask for: a client decides what is in its metadata, and all of it would be kept as long as it is connected. */
function shortTexts(metadata: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const short = Object.entries(stringMap(metadata)).filter(([, value]) => value.length <= MOST_TEXT);
  return Object.fromEntries(short.slice(0, MOST_TEXTS));
}
const MOST_TEXT = 256;
const MOST_TEXTS = 128;
/** Envoy has some 130 filters. */
const MOST_TYPES = 1024;

/** Envoy lists all its extensions with the types of their configuration; of proxies of this project the list has filters only. */
function filterTypes({ metadata, extensions }: Node): ReadonlySet<string> | undefined {
  const listed: unknown = metadata?.LATEEN_EXTENSIONS;
  if (metadata?.LATEEN_CAPABILITIES !== undefined) return bounded(Array.isArray(listed) ? listed.map(String) : []);
  if (extensions.length === 0) return undefined;
  const filters = extensions.filter(({ category }) => category.startsWith("envoy.filters."));
  return bounded(filters.flatMap(({ typeUrls }) => typeUrls.map((url) => url.slice(url.lastIndexOf("/") + 1))));
}

function bounded(types: readonly string[]): ReadonlySet<string> {
  return new Set(types.filter((type) => type.length <= MOST_TEXT).slice(0, MOST_TYPES));
}

function localityText(locality: Node["locality"]): string {
  const { region = "", zone = "", subZone = "" } = locality ?? {};
  return [region, zone, subZone].join("/").replace(/\/+$/, "");
}

function capabilities(metadata: Readonly<Record<string, unknown>>): NodeCapabilities {
  const listed = metadata.LATEEN_CAPABILITIES;
  if (!Array.isArray(listed)) return { lateen: false, http2: true, extensions: [] };
  const extensions = metadata.LATEEN_EXTENSIONS;
  return {
    lateen: true,
    http2: listed.includes("http2"),
    extensions: Array.isArray(extensions) ? extensions.map(String).sort() : [],
    ...(metadata.INTERCEPTION_MODE === "REDIRECT" ? { redirected: true } : {}),
  };
}

/** Istio sends POD_PORTS as JSON in a string; a list is accepted as well. */
function podPorts(value: unknown): XdsNode["containerPorts"] {
  const list = typeof value === "string" ? parseJson(value) : value;
  if (!Array.isArray(list)) return [];
  const ports: { name: string; port: number }[] = [];
  for (const entry of list as readonly unknown[]) {
    if (typeof entry !== "object" || entry === null) continue;
    const fields = entry as Readonly<Record<string, unknown>>;
    const protocol = text(fields.protocol) || "TCP";
    const port = Number(fields.containerPort);
    if (protocol === "TCP" && Number.isInteger(port) && port > 0 && port < 65536) {
      ports.push({ name: text(fields.name), port });
    }
  }
  return ports.sort((a, b) => a.port - b.port || (a.name < b.name ? -1 : 1));
}

function parseJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** An IPv4 or IPv6 literal; anything else is as if it were not there. */
function ipLiteral(value: unknown): string {
  const address = text(value);
  return /^\d+(\.\d+){3}$/.test(address) || /^[0-9a-f:]*:[0-9a-f:.]*$/i.test(address) ? address : "";
}

function stringMap(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, entry]) => typeof entry === "string")
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  ) as Record<string, string>;
}
