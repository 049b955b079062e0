import { err, ok, parseDuration, type Result } from "@lateen/kernel";
import { decodeObjectValue } from "../decode/decode-value.ts";
import { toDiagnostic } from "../decode/diagnostic.ts";
import { splitDocuments } from "../decode/split.ts";
import { parseYaml } from "../decode/yaml.ts";
import { codes } from "../errors.ts";
import type { Resource } from "../kinds/index.ts";
import type { Diagnostic, Origin } from "../origin.ts";
import type { Infer, ObjectNode } from "../schema/index.ts";
import { Check } from "../validation/check.ts";
import { checkMeshConfig } from "./check.ts";
import {
  BOOTSTRAP_FIELDS,
  type BootstrapField,
  type BootstrapSettings,
  defaultIngressSettings,
  defaultMeshConfig,
  type ExtAuthzProvider,
  type ExtensionProvider,
  type HttpRetryPolicy,
  type IngressSettings,
  type MeshConfig,
} from "./mesh-config.ts";
import { meshNetworksFromText } from "./networks.ts";
import { mergedSettings } from "./proxy-headers.ts";
import { meshConfigSchema } from "./schema.ts";

type Written = Infer<typeof meshConfigSchema>;

/**
 * Reads the mesh configuration out of the ConfigMap `istio` (keys `mesh` and `meshNetworks`), over `defaults` (Istio's unless given). Unknown fields,
 * wrong values and settings this release cannot honour are errors. Origins name the ConfigMap and count lines within the key's text.
 */
export function meshConfigFromConfigMap(
  map: Resource<"ConfigMap">,
  defaults: MeshConfig = defaultMeshConfig(),
): Result<MeshConfig, readonly Diagnostic[]> {
  const object = `ConfigMap/${map.metadata.namespace}/${map.metadata.name}`;
  const config = meshConfigFromText(map.data?.mesh ?? "", `${object}#mesh`, defaults);
  if (!config.ok || map.data?.meshNetworks === undefined) return config;
  const networks = meshNetworksFromText(map.data.meshNetworks, `${object}#meshNetworks`);
  return networks.ok ? ok({ ...config.value, networks: networks.value }) : networks;
}

/** Reads mesh configuration from its YAML. `file` is for messages. */
export function meshConfigFromText(
  text: string,
  file: string,
  defaults: MeshConfig = defaultMeshConfig(),
): Result<MeshConfig, readonly Diagnostic[]> {
  const documents = splitDocuments(text);
  const [first, second] = documents;
  if (first === undefined) return ok(defaults);
  if (second !== undefined) {
    return err([problem("the mesh configuration must be one document", { file, line: second.line + 1, column: 1 })]);
  }
  const parsed = parseYaml(file, first);
  if (!parsed.ok) {
    return err(parsed.problems.map(({ message, origin, code }) => ({ ...problem(message, origin), code })));
  }
  const check = new Check();
  const written = decodeObjectValue(meshConfigSchema as ObjectNode, parsed.document.value ?? {}, check, "strict");
  if (written !== undefined && check.findings.length === 0) checkMeshConfig(written as Written, check);
  const errors = check.findings.filter((finding) => finding.level === "error");
  if (written === undefined || errors.length > 0) {
    return err(errors.map((finding) => toDiagnostic(finding, parsed.document.locate)));
  }
  return ok(complete(written as Written, defaults));
}

function problem(message: string, origin: Origin): Diagnostic {
  return { level: "error", code: codes.meshConfig, message, path: "", origin };
}

function unusedOf(proxy: NonNullable<Written["defaultConfig"]>): readonly BootstrapField[] | undefined {
  const unused = BOOTSTRAP_FIELDS.filter((field) => Object.keys(Object(proxy[field])).length > 0);
  return unused.length > 0 ? unused : undefined;
}

function bootstrapOf({
  proxyStatsMatcher,
  runtimeValues,
}: NonNullable<Written["defaultConfig"]>): BootstrapSettings | undefined {
  if (proxyStatsMatcher === undefined && runtimeValues === undefined) return undefined;
  return {
    ...(proxyStatsMatcher === undefined ? {} : { proxyStatsMatcher }),
    ...(runtimeValues === undefined ? {} : { runtimeValues }),
  };
}

function complete(written: Written, defaults: MeshConfig): MeshConfig {
  const proxy = written.defaultConfig ?? {};
  const normalization = written.pathNormalization?.normalization ?? "DEFAULT";
  return {
    trustDomain: written.trustDomain || defaults.trustDomain,
    trustDomainAliases: written.trustDomainAliases ?? defaults.trustDomainAliases,
    rootNamespace: written.rootNamespace || defaults.rootNamespace,
    ingress: ingressSettings(written, defaults.ingress ?? defaultIngressSettings),
    outboundTrafficPolicy: outboundPolicy(written) ?? defaults.outboundTrafficPolicy,
    inboundTrafficPolicy: written.inboundTrafficPolicy?.mode
      ? { mode: written.inboundTrafficPolicy.mode }
      : defaults.inboundTrafficPolicy,
    accessLogFile: written.accessLogFile ?? defaults.accessLogFile,
    accessLogFormat: written.accessLogFormat ?? defaults.accessLogFormat,
    accessLogEncoding: written.accessLogEncoding ?? defaults.accessLogEncoding,
    enableAutoMtls: written.enableAutoMtls ?? defaults.enableAutoMtls,
    connectTimeoutMs: durationMs(written.connectTimeout) ?? defaults.connectTimeoutMs,
    protocolDetectionTimeoutMs: durationMs(written.protocolDetectionTimeout) ?? defaults.protocolDetectionTimeoutMs,
    defaultConfig: {
      concurrency: proxy.concurrency ?? defaults.defaultConfig.concurrency,
      proxyMetadata: proxy.proxyMetadata ?? defaults.defaultConfig.proxyMetadata,
      terminationDrainDurationMs:
        durationMs(proxy.terminationDrainDuration) ?? defaults.defaultConfig.terminationDrainDurationMs,
      drainDurationMs: durationMs(proxy.drainDuration) ?? defaults.defaultConfig.drainDurationMs,
      holdApplicationUntilProxyStarts:
        proxy.holdApplicationUntilProxyStarts ?? defaults.defaultConfig.holdApplicationUntilProxyStarts,
      proxyHeaders: mergedSettings(defaults.defaultConfig.proxyHeaders, proxy.proxyHeaders),
      gatewayTopology: mergedSettings(defaults.defaultConfig.gatewayTopology, proxy.gatewayTopology),
      bootstrap: mergedSettings(defaults.defaultConfig.bootstrap, bootstrapOf(proxy)),
      unused: unusedOf(proxy),
    },
    defaultHttpRetryPolicy: written.defaultHttpRetryPolicy
      ? retryPolicy(written.defaultHttpRetryPolicy)
      : defaults.defaultHttpRetryPolicy,
    defaultServiceExportTo: written.defaultServiceExportTo ?? defaults.defaultServiceExportTo,
    defaultVirtualServiceExportTo: written.defaultVirtualServiceExportTo ?? defaults.defaultVirtualServiceExportTo,
    defaultDestinationRuleExportTo: written.defaultDestinationRuleExportTo ?? defaults.defaultDestinationRuleExportTo,
    extensionProviders: mergeProviders(
      defaults.extensionProviders,
      (written.extensionProviders ?? []).flatMap(provider),
    ),
    defaultProviders: {
      accessLogging: written.defaultProviders?.accessLogging ?? defaults.defaultProviders.accessLogging,
      metrics: written.defaultProviders?.metrics ?? defaults.defaultProviders.metrics,
      tracing: written.defaultProviders?.tracing ?? defaults.defaultProviders.tracing ?? [],
    },
    pathNormalization: normalization === "DEFAULT" ? "BASE" : normalization,
    localityLbSetting: written.localityLbSetting ?? defaults.localityLbSetting,
    tcpKeepalive: written.tcpKeepalive ?? defaults.tcpKeepalive,
    upgradeToHttp2:
      written.h2UpgradePolicy === undefined ? defaults.upgradeToHttp2 : written.h2UpgradePolicy === "UPGRADE",
    defaultTrafficPolicy: written.defaultTrafficPolicy ?? defaults.defaultTrafficPolicy,
    discoverySelectors: written.discoverySelectors ?? defaults.discoverySelectors,
    meshMTLS: written.meshMTLS ?? defaults.meshMTLS,
    tlsDefaults: written.tlsDefaults ?? defaults.tlsDefaults,
    dnsRefreshRateMs: durationMs(written.dnsRefreshRate) ?? defaults.dnsRefreshRateMs,
    networks: defaults.networks,
  };
}

/** Modes that are not honoured are refused before. */
function outboundPolicy({ outboundTrafficPolicy }: Written): MeshConfig["outboundTrafficPolicy"] | undefined {
  const mode = outboundTrafficPolicy?.mode;
  return mode === undefined || mode === "ALLOW_ANY_DYNAMIC_DNS" ? undefined : { mode };
}

function ingressSettings(written: Written, defaults: IngressSettings): IngressSettings {
  const mode = written.ingressControllerMode;
  return {
    controllerMode: mode === undefined || mode === "UNSPECIFIED" ? defaults.controllerMode : mode,
    ingressClass: written.ingressClass || defaults.ingressClass,
    service: written.ingressService || defaults.service,
    selector: written.ingressSelector || defaults.selector,
  };
}

/** A provider of the same name replaces a built-in one. */
function mergeProviders(
  builtIn: readonly ExtensionProvider[],
  written: readonly ExtensionProvider[],
): readonly ExtensionProvider[] {
  const names = new Set(written.map((one) => one.name));
  return [...builtIn.filter((one) => !names.has(one.name)), ...written];
}

function provider(written: NonNullable<Written["extensionProviders"]>[number]): readonly ExtensionProvider[] {
  const {
    name,
    envoyHttpAls,
    envoyFileAccessLog,
    prometheus,
    zipkin,
    opentelemetry,
    envoyExtAuthzGrpc,
    envoyExtAuthzHttp,
  } = written;
  if (envoyExtAuthzGrpc !== undefined) return [{ name, extAuthz: extAuthz("grpc", envoyExtAuthzGrpc) }];
  if (envoyExtAuthzHttp !== undefined) return [{ name, extAuthz: extAuthz("http", envoyExtAuthzHttp) }];
  if (envoyHttpAls !== undefined) {
    return [
      {
        name,
        envoyHttpAls: {
          service: envoyHttpAls.service,
          port: envoyHttpAls.port,
          logName: envoyHttpAls.logName || "http_envoy_accesslog",
          additionalRequestHeadersToLog: envoyHttpAls.additionalRequestHeadersToLog ?? [],
          additionalResponseHeadersToLog: envoyHttpAls.additionalResponseHeadersToLog ?? [],
        },
      },
    ];
  }
  if (envoyFileAccessLog !== undefined) {
    const { path, logFormat } = envoyFileAccessLog;
    return [{ name, envoyFileAccessLog: { path: path || "/dev/stdout", logFormat } }];
  }
  if (zipkin !== undefined) {
    const { service, port, path = "", maxTagLength = MAX_TAG_LENGTH, enable64bitTraceId = false } = zipkin;
    return [{ name, zipkin: { service, port, path: path || "/api/v2/spans", maxTagLength, enable64bitTraceId } }];
  }
  if (opentelemetry !== undefined) {
    const { service, port, maxTagLength = MAX_TAG_LENGTH, http } = opentelemetry;
    return [{ name, opentelemetry: { service, port, maxTagLength, http: http && otlpHttp(http) } }];
  }
  // One of a kind that nothing may use yet; using it has been refused.
  return prometheus === undefined ? [] : [{ name, prometheus: true }];
}

type WrittenProvider = NonNullable<Written["extensionProviders"]>[number];
const TEN_MINUTES_MS = 600_000;

function extAuthz(
  kind: ExtAuthzProvider["kind"],
  written: NonNullable<WrittenProvider["envoyExtAuthzGrpc"]> &
    Partial<NonNullable<WrittenProvider["envoyExtAuthzHttp"]>>,
): ExtAuthzProvider {
  const body = written.includeRequestBodyInCheck;
  return {
    kind,
    service: written.service,
    port: written.port,
    timeoutMs: durationMs(written.timeout) ?? TEN_MINUTES_MS,
    failOpen: written.failOpen ?? false,
    statusOnError: Number(written.statusOnError || 403),
    clearRouteCache: written.clearRouteCache ?? false,
    body:
      body?.maxRequestBytes === undefined
        ? undefined
        : {
            maxBytes: body.maxRequestBytes,
            allowPartial: body.allowPartialMessage ?? false,
            asBytes: body.packAsBytes ?? false,
          },
    pathPrefix: written.pathPrefix ?? "",
    requestHeaders: written.includeRequestHeadersInCheck ?? written.includeHeadersInCheck ?? [],
    additionalHeaders: written.includeAdditionalHeadersInCheck ?? {},
    upstreamOnAllow: written.headersToUpstreamOnAllow ?? [],
    downstreamOnDeny: written.headersToDownstreamOnDeny ?? [],
    downstreamOnAllow: written.headersToDownstreamOnAllow ?? [],
  };
}

const MAX_TAG_LENGTH = 256;
const OTLP_TIMEOUT_MS = 10_000;

type OtlpHttp = NonNullable<NonNullable<NonNullable<Written["extensionProviders"]>[number]["opentelemetry"]>["http"]>;

function otlpHttp({ path, timeout, headers = [] }: OtlpHttp) {
  return {
    path: path || "/v1/traces",
    timeoutMs: durationMs(timeout) ?? OTLP_TIMEOUT_MS,
    headers: Object.fromEntries(headers.map(({ name, value }) => [name, value ?? ""])),
  };
}

function retryPolicy(written: NonNullable<Written["defaultHttpRetryPolicy"]>): HttpRetryPolicy {
  return {
    attempts: written.attempts,
    perTryTimeoutMs: durationMs(written.perTryTimeout),
    retryOn: written.retryOn,
    backoffMs: durationMs(written.backoff),
    retryIgnorePreviousHosts: written.retryIgnorePreviousHosts,
    retryRemoteLocalities: written.retryRemoteLocalities,
  };
}

function durationMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parsed = parseDuration(text);
  return parsed.ok ? parsed.value : undefined;
}
