import { HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores } from "@lateen/proto/envoy/config/core/v3/protocol";
import { Router } from "@lateen/proto/envoy/extensions/filters/http/router/v3/router";
import {
  HttpConnectionManager_CodecType as Codec,
  HttpConnectionManager_PathWithEscapedSlashesAction as Escaped,
  HttpConnectionManager_ForwardClientCertDetails as Forward,
  type HttpConnectionManager,
  type HttpFilter,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import type { HttpConnectionManagerSpec, HttpFilterSpec } from "../plan.ts";
import { accessLogs } from "./access-log.ts";
import { decodeBytes, typedConfig } from "./any.ts";
import { HTTP2_CODEC, headersCount, http1Options } from "./codec-options.ts";
import type { DecodeRun } from "./context.ts";
import { join, millis, onlyFields, refuse } from "./fields.ts";
import { guarded } from "./per-filter-config.ts";
import { routeTable } from "./route-table.ts";
import { tracingSpec } from "./tracing.ts";

const ROUTER_TYPE = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

/** Honoured, or without influence on a request's fate. */
const KNOWN: readonly (keyof HttpConnectionManager & string)[] = [
  "codecType",
  "statPrefix",
  "routeSpecifier",
  "httpFilters",
  "commonHttpProtocolOptions",
  "httpProtocolOptions",
  "http2ProtocolOptions",
  "serverName",
  "serverHeaderTransformation",
  "maxRequestHeadersKb",
  "streamIdleTimeout",
  "requestTimeout",
  "drainTimeout",
  "delayedCloseTimeout",
  "accessLog",
  "useRemoteAddress",
  "xffNumTrustedHops",
  "appendXForwardedPort",
  "generateRequestId",
  "preserveExternalRequestId",
  "alwaysSetRequestIdInResponse",
  "forwardClientCertDetails",
  "setCurrentClientCertDetails",
  "upgradeConfigs",
  "normalizePath",
  "mergeSlashes",
  "pathWithEscapedSlashesAction",
  "stripMatchingHostPort",
  "stripPortMode",
  "tracing",
];

const CODEC = new Map([
  [Codec.AUTO, "auto"],
  [Codec.HTTP1, "http1"],
  [Codec.HTTP2, "http2"],
] as const);
const SERVER_HEADER = new Map([
  [ServerHeader.OVERWRITE, "overwrite"],
  [ServerHeader.APPEND_IF_ABSENT, "appendIfAbsent"],
  [ServerHeader.PASS_THROUGH, "passThrough"],
] as const);
const FORWARD = new Map([
  [Forward.SANITIZE, "sanitize"],
  [Forward.FORWARD_ONLY, "forwardOnly"],
  [Forward.APPEND_FORWARD, "appendForward"],
  [Forward.SANITIZE_SET, "sanitizeSet"],
  [Forward.ALWAYS_FORWARD_ONLY, "alwaysForwardOnly"],
] as const);
const UNDERSCORES = new Map([
  [Underscores.ALLOW, undefined],
  [Underscores.REJECT_REQUEST, "reject"],
  [Underscores.DROP_HEADER, "drop"],
] as const);
const ESCAPED = new Map([
  [Escaped.IMPLEMENTATION_SPECIFIC_DEFAULT, "keep"],
  [Escaped.KEEP_UNCHANGED, "keep"],
  [Escaped.REJECT_REQUEST, "reject"],
  [Escaped.UNESCAPE_AND_REDIRECT, "unescapeRedirect"],
  [Escaped.UNESCAPE_AND_FORWARD, "unescapeForward"],
] as const);

function named<T>(map: ReadonlyMap<number, T>, value: number, at: string): T {
  if (!map.has(value)) refuse(at, `${value} is not known to this proxy`);
  return map.get(value) as T;
}

/** @see envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager */
export function connectionManager(hcm: HttpConnectionManager, run: DecodeRun, at: string): HttpConnectionManagerSpec {
  onlyFields(hcm, at, KNOWN);
  codecOptions(hcm, at);
  const common = hcm.commonHttpProtocolOptions;
  const details = hcm.setCurrentClientCertDetails;
  const traced = tracingSpec(hcm, at);
  const underscores = named(
    UNDERSCORES,
    common?.headersWithUnderscoresAction ?? Underscores.ALLOW,
    join(at, "common_http_protocol_options.headers_with_underscores_action"),
  );
  return {
    kind: "http",
    statPrefix: hcm.statPrefix,
    routes: routesOf(hcm, run, at),
    httpFilters: httpFilters(hcm.httpFilters, run, at),
    serverName: hcm.serverName || "envoy",
    serverHeader: named(SERVER_HEADER, hcm.serverHeaderTransformation, join(at, "server_header_transformation")),
    useRemoteAddress: hcm.useRemoteAddress ?? false,
    xffTrustedHops: hcm.xffNumTrustedHops,
    ...(hcm.appendXForwardedPort ? { forwardedPort: true } : {}),
    forwardClientCert: named(FORWARD, hcm.forwardClientCertDetails, join(at, "forward_client_cert_details")),
    setClientCertDetails: {
      subject: details?.subject ?? false,
      uri: details?.uri ?? false,
      dns: details?.dns ?? false,
      cert: details?.cert ?? false,
    },
    streamIdleTimeoutMs: millis(hcm.streamIdleTimeout, 300_000, join(at, "stream_idle_timeout")),
    requestTimeoutMs: millis(hcm.requestTimeout, 0, join(at, "request_timeout")),
    idleTimeoutMs: millis(common?.idleTimeout, 3_600_000, join(at, "common_http_protocol_options.idle_timeout")),
    drainTimeoutMs: millis(hcm.drainTimeout, 5000, join(at, "drain_timeout")),
    normalizePath: hcm.normalizePath ?? false,
    mergeSlashes: hcm.mergeSlashes,
    escapedSlashes: named(ESCAPED, hcm.pathWithEscapedSlashesAction, join(at, "path_with_escaped_slashes_action")),
    codec: named(CODEC, hcm.codecType, join(at, "codec_type")),
    ...(hcm.http2ProtocolOptions?.maxConcurrentStreams === undefined
      ? {}
      : { maxConcurrentStreams: hcm.http2ProtocolOptions.maxConcurrentStreams }),
    acceptHttp10: hcm.httpProtocolOptions?.acceptHttp10 ?? false,
    ...(hcm.httpProtocolOptions?.allowCustomMethods ? { customMethods: true } : {}),
    ...(underscores === undefined ? {} : { underscores }),
    generateRequestId: hcm.generateRequestId ?? true,
    preserveExternalRequestId: hcm.preserveExternalRequestId,
    alwaysSetRequestIdInResponse: hcm.alwaysSetRequestIdInResponse,
    stripPortMode: hcm.stripPortMode?.value === true ? "any" : hcm.stripMatchingHostPort ? "matching" : "none",
    ...(suppressesHeaders(hcm.httpFilters, at) ? { suppressEnvoyHeaders: true } : {}),
    upgrades: upgrades(hcm, at),
    accessLogs: accessLogs(hcm.accessLog, run, at),
    ...(traced === undefined ? {} : { tracing: traced }),
  };
}

/** Limits that are fixed here, as Envoy has them where nothing else is said. */
const HEADERS_KB = 60;

/** Refuses what the codecs of this proxy would not obey. */
function codecOptions(hcm: HttpConnectionManager, at: string): void {
  const { commonHttpProtocolOptions: common, httpProtocolOptions: http1, http2ProtocolOptions: http2 } = hcm;
  if (hcm.maxRequestHeadersKb !== undefined && hcm.maxRequestHeadersKb !== HEADERS_KB)
    refuse(join(at, "max_request_headers_kb"), `this proxy takes ${HEADERS_KB} and nothing else`);
  if (common !== undefined) {
    const path = join(at, "common_http_protocol_options");
    onlyFields(common, path, ["idleTimeout", "maxHeadersCount", "headersWithUnderscoresAction"]);
    headersCount(common, path);
  }
  if (http1 !== undefined) http1Options(http1, join(at, "http_protocol_options"));
  if (http2 !== undefined) onlyFields(http2, join(at, "http2_protocol_options"), HTTP2_CODEC);
}

function upgrades(hcm: HttpConnectionManager, at: string): readonly string[] {
  return hcm.upgradeConfigs.flatMap((upgrade, index) => {
    if (upgrade.filters.length > 0)
      refuse(join(at, `upgrade_configs[${index}].filters`), "not supported by this proxy");
    return upgrade.enabled === false ? [] : [upgrade.upgradeType.toLowerCase()];
  });
}

function routesOf(hcm: HttpConnectionManager, run: DecodeRun, at: string): HttpConnectionManagerSpec["routes"] {
  const specifier = hcm.routeSpecifier;
  switch (specifier?.$case) {
    case "rds":
      if (specifier.value.routeConfigName === "") refuse(join(at, "rds.route_config_name"), "required");
      return { rds: specifier.value.routeConfigName };
    case "routeConfig":
      return { inline: routeTable(specifier.value, run, join(at, "route_config")) };
    case "scopedRoutes":
      return refuse(join(at, "scoped_routes"), "not supported by this proxy");
    case undefined:
      return refuse(at, "route_specifier is required");
  }
}

/** The chain without the router, which must be last. A filter this proxy lacks is refused unless it is optional. */
function httpFilters(filters: readonly HttpFilter[], run: DecodeRun, at: string): readonly HttpFilterSpec[] {
  const chain: HttpFilterSpec[] = [];
  for (const [index, filter] of filters.entries()) {
    const path = join(at, `http_filters[${filter.name || index}]`);
    const config = typedConfig(filter.configType, path);
    if (isRouter(filter, config?.typeUrl)) {
      if (filter.disabled) refuse(join(path, "disabled"), "the router cannot be switched off");
      if (index !== filters.length - 1) refuse(path, "the router must be the last filter");
      return chain;
    }
    const factory = run.httpFilters.find((entry) => entry.configType === config?.typeUrl);
    if (factory === undefined || config === undefined) {
      if (filter.isOptional) continue;
      return refuse(path, `filter ${config?.typeUrl ?? "without typed_config"} is not supported by this proxy`);
    }
    chain.push({
      name: factory.name,
      config: guarded(() => factory.decodeConfig(config.value), path),
      ...(filter.name === "" || filter.name === factory.name ? {} : { configName: filter.name }),
      ...(filter.disabled ? { disabled: true } : {}),
    });
  }
  return refuse(join(at, "http_filters"), "the last filter must be envoy.filters.http.router");
}

/** @see envoy.extensions.filters.http.router.v3.Router, suppress_envoy_headers */
function suppressesHeaders(filters: readonly HttpFilter[], at: string): boolean {
  const router = filters.at(-1);
  const config = router === undefined ? undefined : typedConfig(router.configType, join(at, "http_filters"));
  if (config?.typeUrl !== ROUTER_TYPE) return false;
  return decodeBytes(config.value, Router, join(at, "http_filters")).suppressEnvoyHeaders;
}

function isRouter(filter: HttpFilter, type: string | undefined): boolean {
  return type === ROUTER_TYPE || (type === undefined && filter.name === "envoy.filters.http.router");
}
