import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { TypedExtensionConfig } from "@lateen/proto/envoy/config/core/v3/extension";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { MessageWriter } from "@lateen/proto/messages";
import { type EncodedResource, xdsTypes } from "@lateen/xds";

type Ask = (typeUrl: string) => ReadonlyMap<string, EncodedResource>;

interface JsonType {
  decode(bytes: Uint8Array): unknown;
  toJSON(message: never): unknown;
}

const ADMIN = "type.googleapis.com/envoy.admin.v3.";
const REDACTED = Buffer.from("[redacted]").toString("base64");
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  "privateKey",
  "password",
  "pkcs12",
  "sessionTicketKeys",
  "genericSecret",
]);

/** Extensions that a proxy should run, in the words of Envoy's dump. */
export function extensionDump(ask: Ask, writer: MessageWriter = new MessageWriter()): readonly object[] {
  return part(ask, writer)(xdsTypes.extension, TypedExtensionConfig, "ecdsFilter").map(({ entry }) => entry);
}

/** Resources of one type with their versions. */
function part(ask: Ask, writer: MessageWriter) {
  return (typeUrl: string, type: JsonType, field: string) =>
    [...ask(typeUrl).values()].map((resource) => ({
      name: resource.name,
      entry: {
        versionInfo: resource.version,
        [field]: { "@type": typeUrl, ...toJson(type, resource, writer) },
      },
    }));
}

/** What a proxy should run, in the shape of Envoy's `/config_dump`. Everything that holds a key is redacted. */
export function configDump(ask: Ask, writer: MessageWriter = new MessageWriter()): unknown {
  const named = part(ask, writer);
  const entries = (typeUrl: string, type: JsonType, field: string) =>
    named(typeUrl, type, field).map(({ entry }) => entry);
  return {
    configs: [
      { "@type": `${ADMIN}ClustersConfigDump`, dynamicActiveClusters: entries(xdsTypes.cluster, Cluster, "cluster") },
      {
        "@type": `${ADMIN}EndpointsConfigDump`,
        dynamicEndpointConfigs: entries(xdsTypes.endpoint, ClusterLoadAssignment, "endpointConfig"),
      },
      {
        "@type": `${ADMIN}ListenersConfigDump`,
        dynamicListeners: named(xdsTypes.listener, Listener, "listener").map(({ name, entry }) => ({
          name,
          activeState: entry,
        })),
      },
      {
        "@type": `${ADMIN}RoutesConfigDump`,
        dynamicRouteConfigs: entries(xdsTypes.route, RouteConfiguration, "routeConfig"),
      },
      {
        "@type": `${ADMIN}EcdsConfigDump`,
        ecdsFilters: extensionDump(ask, writer),
      },
      {
        "@type": `${ADMIN}SecretsConfigDump`,
        dynamicActiveSecrets: named(xdsTypes.secret, Secret, "secret").map(({ name, entry }) => ({ name, ...entry })),
      },
    ],
  };
}

/** Proto JSON, or why it cannot be shown. */
function toJson(type: JsonType, resource: EncodedResource, writer: MessageWriter): object {
  try {
    const json: unknown = redact(written(type, resource, writer));
    return typeof json === "object" && json !== null ? json : {};
  } catch (error) {
    return { name: resource.name, undecodable: error instanceof Error ? error.message : String(error) };
  }
}

function written(type: JsonType, { any }: EncodedResource, writer: MessageWriter): unknown {
  try {
    return type.toJSON(type.decode(any.value) as never);
  } catch {
    // Something packed in it is of a type that only an EnvoyFilter knows.
    return writer.toJson(any.typeUrl, any.value);
  }
}

function redact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      SECRET_FIELDS.has(key) ? { inlineBytes: REDACTED } : redact(inner),
    ]),
  );
}
