import { readFileSync } from "node:fs";
import {
  type Diagnostic,
  decodeText,
  defaultMeshConfig,
  type MeshConfig,
  type Resource,
  type ResourceKey,
} from "@lateen/mesh-model";
import { durationToMs } from "@lateen/proto";
import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import type { Filter } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { TcpProxy } from "@lateen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";
import { SubjectAltNameMatcher_SanType as SanType } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/common";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { DownstreamTlsContext, UpstreamTlsContext } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";
import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import { describeMessages } from "@lateen/proto/messages";
import { type Compiler, createCompiler } from "../compiler.ts";
import { nodeFromProto, type XdsNode } from "../node.ts";
import { type EncodedResource, typeUrls } from "../resource.ts";

/** Milliseconds of a duration that must be there. */
export function ms(duration: { readonly seconds: bigint; readonly nanos: number } | undefined): number {
  if (duration === undefined) throw new Error("a duration is expected");
  return durationToMs(duration);
}

export type Labels = Readonly<Record<string, string>>;

/** Decodes YAML; a refused document fails the test with its reasons. */
export function objectsFrom(...texts: readonly string[]): readonly Resource[] {
  return texts.flatMap((text) =>
    decodeText({ file: "test.yaml", text }).map((document) => {
      if (document.ok) return document.object;
      const reasons = document.diagnostics.map((item: Diagnostic) => `${item.path}: ${item.message}`);
      throw new Error(`${document.kind} ${document.name}: ${reasons.join("; ")}`);
    }),
  );
}

/** Objects of the Bookinfo sample, by file name without `.yaml`. */
export function bookinfo(...files: readonly string[]): readonly Resource[] {
  const folder = new URL("../../../../samples/bookinfo/", import.meta.url);
  return objectsFrom(...files.map((file) => readFileSync(new URL(`${file}.yaml`, folder), "utf8")));
}

/** A ready pod with a sidecar. */
export function pod(name: string, ip: string, labels: Labels, options: PodOptions = {}): string {
  const { namespace = "default", account = "default", mesh = true, ready = true, ports = "[]" } = options;
  const all = mesh ? { ...labels, "security.istio.io/tlsMode": "istio" } : labels;
  return `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: ${namespace}, labels: ${JSON.stringify(all)} }
spec: { serviceAccountName: ${account}, containers: [{ name: app, ports: ${ports} }] }
status: { phase: Running, podIP: ${ip}, conditions: [{ type: Ready, status: "${ready ? "True" : "False"}" }] }
---`;
}
interface PodOptions {
  readonly namespace?: string;
  readonly account?: string;
  readonly mesh?: boolean;
  readonly ready?: boolean;
  readonly ports?: string;
}

/** A Service; ports as `name:port[:targetPort]`. */
export function service(name: string, ip: string, ports: readonly string[], options: ServiceOptions = {}): string {
  const { namespace = "default", selector = { app: name }, exportTo } = options;
  const list = ports.map((text) => {
    const [portName, port, target] = text.split(":");
    return `{ ${portName ? `name: ${portName}, ` : ""}port: ${port}${target ? `, targetPort: ${target}` : ""} }`;
  });
  const annotations = exportTo === undefined ? "{}" : `{ networking.istio.io/exportTo: "${exportTo}" }`;
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace}, annotations: ${annotations} }
spec: { clusterIP: ${ip}, selector: ${JSON.stringify(selector)}, ports: [${list.join(", ")}] }
---`;
}
interface ServiceOptions {
  readonly namespace?: string;
  readonly selector?: Labels;
  readonly exportTo?: string;
}

export interface NodeOptions {
  readonly kind?: "sidecar" | "router";
  readonly namespace?: string;
  readonly labels?: Labels;
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  /** A stock Envoy, which lists no capabilities. */
  readonly envoy?: boolean;
  /** What a stock Envoy says of the extensions it has. */
  readonly extensions?: readonly { readonly category: string; readonly typeUrls: string[] }[];
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export function nodeOf(options: NodeOptions = {}): XdsNode {
  const { kind = "sidecar", namespace = "default", labels = {}, ports = [], envoy = false, extensions = [] } = options;
  const metadata = {
    NAMESPACE: namespace,
    LABELS: labels,
    SERVICE_ACCOUNT: "default",
    POD_PORTS: JSON.stringify(ports),
    ...(envoy
      ? {}
      : {
          LATEEN_CAPABILITIES: ["http1", "tcp", "tls"],
          LATEEN_EXTENSIONS: ["istio.stats", "istio.peer_metadata"],
        }),
    ...options.metadata,
  };
  const id = `${kind}~10.1.0.1~client.${namespace}~${namespace}.svc.cluster.local`;
  const node = nodeFromProto(Node.fromPartial({ id, metadata, extensions: [...extensions] }));
  if (!node.ok) throw new Error(node.error);
  return node.value;
}

/** Describing all messages takes a while: once for all tests of a file. */
const known: { messages?: ReturnType<typeof describeMessages> } = {};
export function described(): ReturnType<typeof describeMessages> {
  known.messages ??= describeMessages();
  return known.messages;
}

/** A compiler that knows the objects of these YAML texts. */
export function compilerFor(objects: readonly Resource[], meshConfig: Partial<MeshConfig> = {}): Compiler {
  const compiler = createCompiler({
    meshConfig: defaultMeshConfig(meshConfig),
    clusterId: "test",
    messages: described,
  });
  compiler.apply({ upserted: objects, removed: [] as ResourceKey[] });
  return compiler;
}

/** What a proxy gets, decoded. */
export class ProxyView {
  readonly #compiler: Compiler;
  readonly #node: XdsNode;

  constructor(compiler: Compiler, node: XdsNode) {
    this.#compiler = compiler;
    this.#node = node;
  }

  names(type: keyof typeof typeUrls): readonly string[] {
    return [...this.#compiler.resources(this.#node, typeUrls[type]).keys()];
  }
  cluster(name: string): Cluster {
    return Cluster.decode(this.#get("cluster", name).any.value);
  }
  listener(name: string): Listener {
    return Listener.decode(this.#get("listener", name).any.value);
  }
  route(name: string): RouteConfiguration {
    return RouteConfiguration.decode(this.#get("route", name).any.value);
  }
  secret(name: string): Secret {
    return Secret.decode(this.#get("secret", name).any.value);
  }
  nameTable(): NameTable {
    return NameTable.decode(this.#get("nds", "nds").any.value);
  }
  /** `address:port` of all endpoints of a cluster, `+` where mesh mTLS is to be used. */
  endpoints(cluster: string): readonly string[] {
    const assignment = ClusterLoadAssignment.decode(this.#get("endpoint", cluster).any.value);
    return assignment.endpoints.flatMap((locality) =>
      locality.lbEndpoints.map((endpoint) => {
        const at = endpoint.hostIdentifier?.$case === "endpoint" ? endpoint.hostIdentifier.value.address : undefined;
        const socket = at?.address?.$case === "socketAddress" ? at.address.value : undefined;
        const port = socket?.portSpecifier?.$case === "portValue" ? socket.portSpecifier.value : 0;
        const mtls = endpoint.metadata?.filterMetadata["envoy.transport_socket_match"] !== undefined;
        return `${socket?.address}:${port}${mtls ? "+" : ""}`;
      }),
    );
  }
  /** The virtual host of a route configuration that lists this domain. */
  virtualHost(routes: string, domain: string): RouteConfiguration["virtualHosts"][number] {
    const host = this.route(routes).virtualHosts.find((candidate) => candidate.domains.includes(domain));
    if (host === undefined) throw new Error(`no virtual host for ${domain} in ${routes}`);
    return host;
  }

  #get(type: keyof typeof typeUrls, name: string): EncodedResource {
    const resources = this.#compiler.resources(this.#node, typeUrls[type]);
    const found = resources.get(name);
    if (found === undefined) throw new Error(`no ${type} ${name}; there are ${[...resources.keys()].join(", ")}`);
    return found;
  }
}

/** Decoded view of a proxy in a mesh of these YAML texts. */
export function viewOf(yaml: string, node: NodeOptions = {}, meshConfig: Partial<MeshConfig> = {}): ProxyView {
  return new ProxyView(compilerFor(objectsFrom(yaml), meshConfig), nodeOf(node));
}

function configOf(filter: Filter | undefined): Uint8Array {
  if (filter?.configType?.$case !== "typedConfig") throw new Error(`filter ${filter?.name} has no configuration`);
  return filter.configType.value.value;
}

export function tcpProxyOf(filter: Filter | undefined): TcpProxy {
  return TcpProxy.decode(configOf(filter));
}
export function httpManagerOf(filter: Filter | undefined): HttpConnectionManager {
  return HttpConnectionManager.decode(configOf(filter));
}

/** One line for each chain: match → terminal. */
export function chainsOf(listener: Listener): readonly string[] {
  const all = [...listener.filterChains, ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : [])];
  return all.map((chain) => {
    const match = chain.filterChainMatch;
    const parts = [
      match?.destinationPort === undefined ? "" : `port ${match.destinationPort}`,
      (match?.prefixRanges ?? []).map((range) => `${range.addressPrefix}/${range.prefixLen}`).join(","),
      (match?.serverNames ?? []).join(","),
      match?.transportProtocol ?? "",
      (match?.applicationProtocols ?? []).join(","),
    ].filter((part) => part !== "");
    const last = chain.filters.at(-1);
    const rbac = chain.filters.length - 1 > 0 ? `${chain.filters.length - 1} rbac, ` : "";
    const secure = chain.transportSocket === undefined ? "" : "mtls ";
    return `${parts.join(" ") || "*"} → ${rbac}${secure}${terminalOf(last)}`;
  });
}

function terminalOf(filter: Filter | undefined): string {
  if (filter?.name !== "envoy.filters.network.tcp_proxy") {
    const { routeSpecifier } = httpManagerOf(filter);
    if (routeSpecifier?.$case === "rds") return `http rds ${routeSpecifier.value.routeConfigName}`;
    return `http ${routeSpecifier?.$case === "routeConfig" ? routeSpecifier.value.name : ""}`;
  }
  const specifier = tcpProxyOf(filter).clusterSpecifier;
  if (specifier?.$case === "cluster") return `tcp ${specifier.value}`;
  if (specifier?.$case !== "weightedClusters") return "tcp";
  return `tcp ${specifier.value.clusters.map(({ name, weight }) => `${weight}×${name}`).join(" ")}`;
}

/** The TLS a cluster uses towards mesh endpoints, else its own socket. */
export function upstreamTlsOf(cluster: Cluster): UpstreamTlsContext | undefined {
  const socket = cluster.transportSocketMatches[0]?.transportSocket ?? cluster.transportSocket;
  if (socket?.name !== "envoy.transport_sockets.tls" || socket.configType?.$case !== "typedConfig") return undefined;
  return UpstreamTlsContext.decode(socket.configType.value.value);
}
export function downstreamTlsOf(chain: Listener["filterChains"][number] | undefined): DownstreamTlsContext {
  const config = chain?.transportSocket?.configType;
  if (config?.$case !== "typedConfig") throw new Error("the chain has no transport socket");
  return DownstreamTlsContext.decode(config.value.value);
}
/** Names a client accepts, as `type kind value`. */
export function acceptedNames(tls: UpstreamTlsContext | DownstreamTlsContext | undefined): readonly string[] {
  const validation = tls?.commonTlsContext?.validationContextType;
  if (validation?.$case !== "combinedValidationContext") return [];
  return (validation.value.defaultValidationContext?.matchTypedSubjectAltNames ?? []).map(({ sanType, matcher }) => {
    const pattern = matcher?.matchPattern;
    return `${sanType === SanType.URI ? "uri" : sanType === SanType.DNS ? "dns" : sanType} ${pattern?.$case} ${String(pattern?.value)}`;
  });
}
