import type { WasmPlugin } from "@lateen/mesh-model";
import { TransportSocket } from "@lateen/proto/envoy/config/core/v3/base";
import { exactly } from "../proto.ts";
import { originatedTls } from "../tls.ts";
import type { DynamicMessage, EnvoyMessages } from "./messages.ts";
import type { FilterPlace, Patch, PatchContext, TrafficSelector } from "./patch.ts";
import { MESSAGE_OF } from "./patch.ts";

const HTTP_WASM = "envoy.extensions.filters.http.wasm.v3.Wasm";
const NETWORK_WASM = "envoy.extensions.filters.network.wasm.v3.Wasm";
/** Types of configuration that a proxy must take to run plugins. */
export const WASM_TYPES: readonly string[] = [HTTP_WASM, NETWORK_WASM];

type Spec = NonNullable<WasmPlugin["spec"]>;

/** What becomes of a plugin: a place in the chains, its configuration by name, and where its code comes from. */
export interface LoweredPlugin {
  /** Type of its configuration. */
  readonly type: string;
  readonly patch: Patch;
  /** envoy.config.core.v3.TypedExtensionConfig */
  readonly extension: DynamicMessage;
  /** envoy.config.cluster.v3.Cluster */
  readonly source: DynamicMessage | undefined;
}

/** `namespace.name`: of the filter and of its configuration. */
export function pluginName({ metadata }: WasmPlugin): string {
  return `${metadata.namespace}.${metadata.name}`;
}

/** @throws when a part cannot be read: the schema lets nothing through that leads there. */
export function lowerPlugin(messages: EnvoyMessages, plugin: WasmPlugin): LoweredPlugin {
  const { spec } = plugin;
  const network = spec.type === "NETWORK";
  const name = pluginName(plugin);
  const parse = (type: string, json: unknown) => {
    const message = messages.parse(type, json);
    if (!message.ok) throw new Error(`${name}: ${message.error}`);
    return message.value;
  };
  const type = network ? NETWORK_WASM : HTTP_WASM;
  const open = spec.failStrategy === "FAIL_OPEN";
  const applyTo = network ? "NETWORK_FILTER" : "HTTP_FILTER";
  const remote = remoteOf(spec.url);
  return {
    type,
    patch: {
      applyTo,
      operation: "ADD",
      place: PLACES[spec.phase ?? "UNSPECIFIED_PHASE"],
      match: {},
      traffic: (spec.match ?? [{}]).map(selectorOf),
      failsOpen: open,
      value: parse(MESSAGE_OF[applyTo], { name, config_discovery: discovery(type, network, open) }),
    },
    extension: parse(MESSAGE_OF.EXTENSION_CONFIG, {
      name,
      typed_config: { "@type": urlOf(type), config: configOf(spec, name, remote) },
    }),
    source: remote === undefined ? undefined : sourceOf(messages, remote, parse(MESSAGE_OF.CLUSTER, remote.cluster)),
  };
}

function sourceOf(messages: EnvoyMessages, { tlsHost }: Remote, cluster: DynamicMessage): DynamicMessage {
  if (tlsHost !== undefined) cluster.transportSocket = tlsSocket(messages, tlsHost);
  return cluster;
}

const PLACES: Readonly<Record<NonNullable<Spec["phase"]>, FilterPlace>> = {
  AUTHN: "BEFORE_AUTHN",
  AUTHZ: "BEFORE_AUTHZ",
  STATS: "AFTER_POLICIES",
  UNSPECIFIED_PHASE: "AFTER_POLICIES",
};

/** Gateways are clients of what they route to. */
const CONTEXTS: Readonly<Record<string, readonly PatchContext[]>> = {
  CLIENT: ["SIDECAR_OUTBOUND", "GATEWAY"],
  SERVER: ["SIDECAR_INBOUND"],
};
const ALL: readonly PatchContext[] = ["SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"];

function selectorOf({ mode, ports = [] }: NonNullable<Spec["match"]>[number]): TrafficSelector {
  return { contexts: CONTEXTS[mode ?? ""] ?? ALL, ports: ports.map(({ number }) => number) };
}

const urlOf = (type: string) => `type.googleapis.com/${type}`;

/**
 * The chain is in use once the configuration is there. While there is none that can be used (code that does not load is refused), Envoy
 * answers 500, or goes without the plugin where that is allowed.
 */
function discovery(type: string, network: boolean, open: boolean) {
  const pass = urlOf(`envoy.extensions.filters.${network ? "network" : "http"}.rbac.v3.RBAC`);
  return {
    config_source: { ads: {}, initial_fetch_timeout: "15s", resource_api_version: "V3" },
    type_urls: [urlOf(type), ...(open ? [pass] : [])],
    ...(open ? { default_config: { "@type": pass, ...(network ? { stat_prefix: "wasm." } : {}) } } : {}),
  };
}

interface Remote {
  readonly uri: string;
  /** Name in the server's certificate; undefined: no TLS. */
  readonly tlsHost: string | undefined;
  readonly cluster: { readonly name: string; readonly [field: string]: unknown };
}

function configOf(spec: Spec, name: string, remote: Remote | undefined) {
  const { sha256, pluginConfig, failStrategy } = spec;
  const env = spec.vmConfig?.env ?? [];
  const host = env.filter(({ valueFrom }) => valueFrom === "HOST").map((entry) => entry.name);
  const inline = env.filter(({ valueFrom }) => valueFrom !== "HOST").map((entry) => [entry.name, entry.value ?? ""]);
  return {
    name,
    root_id: spec.pluginName ?? "",
    fail_open: failStrategy === "FAIL_OPEN",
    vm_config: {
      runtime: "envoy.wasm.runtime.v8",
      code:
        remote === undefined
          ? { local: { filename: new URL(spec.url).pathname } }
          : {
              remote: {
                http_uri: { uri: remote.uri, cluster: remote.cluster.name, timeout: "30s" },
                sha256: sha256 ?? "",
              },
            },
      ...(env.length === 0
        ? {}
        : { environment_variables: { host_env_keys: host, key_values: Object.fromEntries(inline) } }),
    },
    ...(pluginConfig === undefined
      ? {}
      : {
          configuration: {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            value: JSON.stringify(pluginConfig),
          },
        }),
  };
}

/** Where code is fetched from; a cluster of its own, as no service of the mesh has to be there. */
function remoteOf(text: string): Remote | undefined {
  const url = new URL(text);
  if (url.protocol === "file:") return undefined;
  const secure = url.protocol === "https:";
  const port = Number(url.port) || (secure ? 443 : 80);
  const name = `wasm|${port}||${url.hostname}${secure ? "|tls" : ""}`;
  const address = url.hostname.replace(/^\[|\]$/g, "");
  const endpoint = { address: { socket_address: { address, port_value: port } } };
  return {
    uri: url.href,
    tlsHost: secure ? url.hostname : undefined,
    cluster: {
      name,
      type: "STRICT_DNS",
      connect_timeout: "10s",
      load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
    },
  };
}

function tlsSocket(messages: EnvoyMessages, host: string): DynamicMessage {
  const socket = originatedTls({
    sni: host,
    alpn: [],
    certificate: undefined,
    trust: "file-root:system",
    roots: undefined,
    names: [{ type: "dns", match: exactly(host) }],
  });
  return messages.decode(TransportSocket.$type, TransportSocket.encode(socket).finish());
}
