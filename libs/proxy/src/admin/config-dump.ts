import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { type Configuration, types } from "../agent/configuration.ts";
import type { KeptResource } from "../agent/last-good.ts";
import type { SecretSpec } from "../config/plan.ts";

export interface ConfigDumpSource {
  readonly configuration: Configuration;
  /** `cluster NAME` and `listener NAME` that wait. */
  readonly warming: () => readonly string[];
  readonly secrets: () => Iterable<SecretSpec>;
  readonly bootstrap: () => unknown;
  /** Certificate facts of a PEM chain, for the secrets dump. */
  readonly describeSecret: (secret: SecretSpec) => unknown;
}

interface JsonType {
  readonly $type: string;
  decode(bytes: Uint8Array): unknown;
  toJSON(message: never): unknown;
}

const REDACTED = Buffer.from("[redacted]").toString("base64");

/**
 * Envoy's `/config_dump`: bootstrap, clusters, listeners, routes, endpoints and secrets in their dump messages, as proto JSON. Private
 * keys are replaced wherever they stand.
 * @param resource only this part, by the field name Envoy's `?resource=` uses (`dynamic_listeners` …).
 */
export function configDump(source: ConfigDumpSource, options: { resource: string | null; eds: boolean }): unknown {
  const sections = [
    bootstrap(source),
    clusters(source),
    ...(options.eds ? [endpoints(source)] : []),
    listeners(source),
    routes(source),
    secrets(source),
  ];
  if (options.resource === null) return { configs: sections };
  const field = camel(options.resource);
  const entries = sections.flatMap((section) => {
    const list = (section as Readonly<Record<string, unknown>>)[field];
    return Array.isArray(list) ? list : [];
  });
  return { configs: entries };
}

const ADMIN = "type.googleapis.com/envoy.admin.v3.";

function bootstrap(source: ConfigDumpSource) {
  return { "@type": `${ADMIN}BootstrapConfigDump`, bootstrap: source.bootstrap() };
}

function clusters(source: ConfigDumpSource) {
  const waiting = new Set(source.warming());
  const all = entries(source, types.cluster, Cluster, "cluster");
  const { fixed, dynamic } = split(all);
  return {
    "@type": `${ADMIN}ClustersConfigDump`,
    versionInfo: "",
    staticClusters: fixed.map(({ value }) => value),
    dynamicActiveClusters: dynamic.filter(({ name }) => !waiting.has(`cluster ${name}`)).map(({ value }) => value),
    dynamicWarmingClusters: [
      ...dynamic.filter(({ name }) => waiting.has(`cluster ${name}`)).map(({ value }) => value),
      ...neverAccepted(source, types.cluster, "cluster"),
    ],
  };
}

function endpoints(source: ConfigDumpSource) {
  const { fixed, dynamic } = split(entries(source, types.endpoint, ClusterLoadAssignment, "endpointConfig"));
  return {
    "@type": `${ADMIN}EndpointsConfigDump`,
    staticEndpointConfigs: fixed.map(({ value }) => value),
    dynamicEndpointConfigs: [
      ...dynamic.map(({ value }) => value),
      ...neverAccepted(source, types.endpoint, "endpointConfig"),
    ],
  };
}

function listeners(source: ConfigDumpSource) {
  const waiting = new Set(source.warming());
  const { fixed, dynamic } = split(entries(source, types.listener, Listener, "listener"));
  const named = dynamic.map(({ name, value, failure }) => ({
    name,
    [waiting.has(`listener ${name}`) ? "warmingState" : "activeState"]: value,
    ...(failure === undefined ? {} : { errorState: failure }),
  }));
  const failed = failures(source, types.listener)
    .filter(({ name }) => !dynamic.some((entry) => entry.name === name))
    .map(({ name, errorState }) => ({ name, errorState }));
  return {
    "@type": `${ADMIN}ListenersConfigDump`,
    versionInfo: "",
    staticListeners: fixed.map(({ value }) => value),
    dynamicListeners: [...named, ...failed],
  };
}

function routes(source: ConfigDumpSource) {
  const { fixed, dynamic } = split(entries(source, types.route, RouteConfiguration, "routeConfig"));
  return {
    "@type": `${ADMIN}RoutesConfigDump`,
    staticRouteConfigs: fixed.map(({ value }) => value),
    dynamicRouteConfigs: [...dynamic.map(({ value }) => value), ...neverAccepted(source, types.route, "routeConfig")],
  };
}

function secrets(source: ConfigDumpSource) {
  const dynamic = [...source.secrets()].map((secret) => ({
    name: secret.name,
    versionInfo: "",
    secret: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
      name: secret.name,
      ...(secret.kind === "certificate"
        ? {
            tlsCertificate: {
              certificateChain: { inlineBytes: Buffer.from(secret.certChainPem).toString("base64") },
              privateKey: { inlineBytes: REDACTED },
            },
          }
        : { validationContext: { trustedCa: { inlineBytes: Buffer.from(secret.bundlePem).toString("base64") } } }),
    },
    facts: source.describeSecret(secret),
  }));
  return { "@type": `${ADMIN}SecretsConfigDump`, staticSecrets: [], dynamicActiveSecrets: dynamic };
}

interface DumpEntry {
  readonly name: string;
  readonly isStatic: boolean;
  readonly value: unknown;
  readonly failure: unknown;
}

function entries(source: ConfigDumpSource, type: string, message: JsonType, field: string): readonly DumpEntry[] {
  const refused = new Map(failures(source, type).map((failure) => [failure.name, failure.errorState] as const));
  return [...(source.configuration.kept.get(type)?.values() ?? [])].map((resource: KeptResource) => {
    const value: unknown = redact(readable(message, resource));
    const content = typeof value === "object" && value !== null ? { "@type": type, ...value } : value;
    const isStatic = resource.version === "";
    const lastUpdated = new Date(source.configuration.updatedAt(type, resource.name)).toISOString();
    const failure = refused.get(resource.name);
    return {
      name: resource.name,
      isStatic,
      failure,
      value: {
        ...(isStatic ? {} : { versionInfo: resource.version }),
        [field]: content,
        lastUpdated,
        ...(failure === undefined || field === "listener" ? {} : { errorState: failure }),
      },
    };
  });
}

/** Proto JSON; of a resource with an optional part that is not known here only the name can be shown. */
function readable(message: JsonType, { name, any }: KeptResource): unknown {
  try {
    return message.toJSON(message.decode(any.value) as never);
  } catch (error) {
    return { name, unreadable: error instanceof Error ? error.message : String(error) };
  }
}

function split(all: readonly DumpEntry[]) {
  return { fixed: all.filter(({ isStatic }) => isStatic), dynamic: all.filter(({ isStatic }) => !isStatic) };
}

/** @see envoy.admin.v3.UpdateFailureState */
function failures(source: ConfigDumpSource, type: string) {
  return [...source.configuration.failures]
    .filter(([key]) => key.startsWith(`${type} `))
    .map(([, failure]) => ({
      name: failure.name,
      errorState: {
        details: failure.reason,
        lastUpdateAttempt: new Date(failure.atMs).toISOString(),
        versionInfo: failure.version,
      },
    }));
}

/** Resources of which no version could be taken over: only their name and why. */
function neverAccepted(source: ConfigDumpSource, type: string, field: string) {
  const kept = source.configuration.kept.get(type);
  return failures(source, type)
    .filter(({ name }) => kept?.has(name) !== true)
    .map(({ name, errorState }) => ({ [field]: { "@type": type, name }, errorState }));
}

const SECRET_FIELDS = new Set(["privateKey", "password", "pkcs12", "sessionTicketKeys"]);

/** Replaces the content of everything that holds a key. */
export function redact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      SECRET_FIELDS.has(key) ? { inlineBytes: REDACTED } : redact(inner),
    ]),
  );
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
