import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { FileAccessLog } from "@lateen/proto/envoy/extensions/access_loggers/file/v3/file";
import { Router } from "@lateen/proto/envoy/extensions/filters/http/router/v3/router";
import { HttpInspector } from "@lateen/proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector";
import { OriginalDst } from "@lateen/proto/envoy/extensions/filters/listener/original_dst/v3/original_dst";
import { TlsInspector } from "@lateen/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { TcpProxy } from "@lateen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";
import { TlsParameters } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/common";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { DownstreamTlsContext, UpstreamTlsContext } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import { messageTypeRegistry } from "@lateen/proto/typeRegistry";
import { refuse } from "./decode/index.ts";

/** The parts of Envoy's bootstrap that this proxy reads. @see envoy.config.bootstrap.v3.Bootstrap */
export interface EnvoyBootstrap {
  readonly listeners: readonly Listener[];
  readonly clusters: readonly Cluster[];
  readonly secrets: readonly Secret[];
  readonly admin: { readonly address: string; readonly port: number } | undefined;
  readonly node: Node | undefined;
  /** Static cluster that serves ADS, when listeners and clusters come from there. */
  readonly adsCluster: string | undefined;
}

/**
 * Types that appear inside an Any and belong to this library. The generated reader finds a type in a registry that its module
 * fills when it is loaded; naming them keeps a bundler from leaving the modules out. Filters bring their own.
 */
const EMBEDDED_TYPES: ReadonlySet<string> = new Set(
  [
    Router,
    HttpInspector,
    OriginalDst,
    TlsInspector,
    TlsParameters,
    HttpConnectionManager,
    TcpProxy,
    UpstreamTlsContext,
    DownstreamTlsContext,
    HttpProtocolOptions,
    FileAccessLog,
  ].map(({ $type }) => $type),
);

const TOP_LEVEL = ["node", "admin", "static_resources", "dynamic_resources", "stats_config", "layered_runtime"];

/**
 * Reads a bootstrap that was parsed from YAML or JSON. Keys in snake case or camel case; unknown keys are refused with their path.
 * @throws Refusal naming the field.
 */
export function readEnvoyBootstrap(document: unknown): EnvoyBootstrap {
  const root = record(document, "bootstrap");
  for (const key of Object.keys(root)) {
    if (!TOP_LEVEL.includes(snake(key))) refuse(key, "not supported by this proxy");
  }
  const statics = record(field(root, "static_resources") ?? {}, "static_resources");
  const node = field(root, "node");
  return {
    listeners: list(field(statics, "listeners")).map((entry, i) =>
      message(Listener, entry, `static_resources.listeners[${i}]`),
    ),
    clusters: list(field(statics, "clusters")).map((entry, i) =>
      message(Cluster, entry, `static_resources.clusters[${i}]`),
    ),
    secrets: list(field(statics, "secrets")).map((entry, i) =>
      message(Secret, entry, `static_resources.secrets[${i}]`),
    ),
    admin: adminAddress(field(root, "admin")),
    node: node === undefined ? undefined : message(Node, node, "node"),
    adsCluster: adsCluster(field(root, "dynamic_resources")),
  };
}

interface JsonMessage<T> {
  fromJSON(value: unknown): T;
  toJSON(message: T): unknown;
}

function message<T>(type: JsonMessage<T>, json: unknown, at: string): T {
  refuseUnknownTypes(json, at);
  let read: T;
  try {
    read = type.fromJSON(json);
  } catch (error) {
    return refuse(at, error instanceof Error ? error.message : String(error));
  }
  const knows = (keys: Keys): boolean => {
    try {
      return valueAt(type.toJSON(type.fromJSON(withValue(json, keys, 1))), keys) !== undefined;
    } catch {
      return false;
    }
  };
  refuseUnknownKeys(json, type.toJSON(read), { at, keys: [], knows });
  return read;
}

type Keys = readonly (string | number)[];

/** Where a value stands, and whether the reader knows a field there: it then comes back with another value. */
interface Place {
  readonly at: string;
  readonly keys: Keys;
  readonly knows: (keys: Keys) => boolean;
}

function withValue(json: unknown, [key, ...rest]: Keys, value: unknown): unknown {
  if (key === undefined) return value;
  if (Array.isArray(json))
    return json.map((entry, i) => (i === key ? withValue(entry, rest, value) : (entry as unknown)));
  const object = typeof json === "object" && json !== null ? (json as Readonly<Record<string, unknown>>) : {};
  return { ...object, [key]: withValue(object[key], rest, value) };
}

function valueAt(json: unknown, keys: Keys): unknown {
  return keys.reduce<unknown>((at, key) => {
    if (typeof at !== "object" || at === null) return undefined;
    const object = at as Readonly<Record<string, unknown>>;
    return object[camel(String(key))] ?? object[key];
  }, json);
}

/** Says where an Any of a type stands that nothing here understands; the generated reader would only say which. */
function refuseUnknownTypes(value: unknown, at: string): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    const name = key === "@type" ? String(inner).slice(String(inner).lastIndexOf("/") + 1) : undefined;
    if (name === undefined) refuseUnknownTypes(inner, Array.isArray(value) ? `${at}[${key}]` : `${at}.${key}`);
    else if (!EMBEDDED_TYPES.has(name) && !messageTypeRegistry.has(name)) {
      refuse(at, `type ${name} is not supported by this proxy`);
    }
  }
}

/** Fields that hold a google.protobuf.Struct: user data, taken as it is. */
const STRUCTS = new Set(["filterMetadata", "jsonFormat", "typedJsonFormat", "metadata"]);

/** What the reader did not take over comes back missing; a zero value may be missing without loss. */
function refuseUnknownKeys(given: unknown, read: unknown, place: Place): void {
  const { at, keys, knows } = place;
  if (Array.isArray(given)) {
    const other = Array.isArray(read) ? read : [];
    for (const [index, entry] of given.entries()) {
      refuseUnknownKeys(entry, other[index], { knows, at: `${at}[${index}]`, keys: [...keys, index] });
    }
    return;
  }
  // How the generated reader says that a name is none of an enum's.
  if (read === "UNRECOGNIZED" && given !== read) refuse(at, `${String(given)} is not a known value`);
  if (typeof given !== "object" || given === null) return;
  const other: Record<string, unknown> = typeof read === "object" && read !== null ? { ...read } : {};
  for (const [key, value] of Object.entries(given)) {
    if (STRUCTS.has(camel(key))) continue;
    const counterpart = other[camel(key)] ?? other[key];
    if (counterpart === undefined) {
      // The first value of an enum is its default and left out when written.
      const first = typeof value === "string" && /^[A-Z][A-Z0-9_]*$/.test(value) && knows([...keys, key]);
      if (!first && !isZero(value)) refuse(`${at}.${key}`, "unknown field");
    } else {
      refuseUnknownKeys(value, counterpart, { knows, at: `${at}.${key}`, keys: [...keys, key] });
    }
  }
}

function isZero(value: unknown): boolean {
  if (value === null || value === false || value === 0 || value === "" || value === "0s" || value === "0") return true;
  return typeof value === "object" && value !== null && Object.values(value).every(isZero);
}

function adminAddress(value: unknown): EnvoyBootstrap["admin"] {
  if (value === undefined) return undefined;
  const address = record(field(record(value, "admin"), "address") ?? {}, "admin.address");
  const socket = record(field(address, "socket_address") ?? {}, "admin.address.socket_address");
  return { address: text(socket.address) || "127.0.0.1", port: Number(field(socket, "port_value") ?? 0) };
}

function adsCluster(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const ads = field(record(value, "dynamic_resources"), "ads_config");
  if (ads === undefined) return refuse("dynamic_resources", "only ads_config is supported by this proxy");
  const services = list(field(record(ads, "ads_config"), "grpc_services"));
  const grpc = record(field(record(services[0] ?? {}, "grpc_services"), "envoy_grpc") ?? {}, "envoy_grpc");
  const name = text(field(grpc, "cluster_name"));
  return name === ""
    ? refuse("dynamic_resources.ads_config.grpc_services", "envoy_grpc.cluster_name is required")
    : name;
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(at, "must be an object");
  return { ...value };
}

function field(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return object[name] ?? object[camel(name)];
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
