import { durationToMs, typeUrl } from "@lateen/proto";
import { ApiVersion } from "@lateen/proto/envoy/config/core/v3/config_source";
import {
  type BufferSettings,
  ExtAuthz,
  ExtAuthzPerRoute,
  type HttpService,
} from "@lateen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz";
import type { ListStringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import { join, metadataMatch, onlyFields, refuse, stringMatch } from "@lateen/proxy";
import type { StringMatchSpec } from "@lateen/traffic";
import { errorStatus, fraction, headerName } from "../common/decode.ts";
import { grpcService } from "../common/grpc-service.ts";
import type { BodySettings, ExtAuthzConfig, ExtAuthzRouteConfig, HttpServiceSpec } from "./config.ts";

export const EXT_AUTHZ_TYPE = typeUrl(ExtAuthz);
export const EXT_AUTHZ_ROUTE_TYPE = typeUrl(ExtAuthzPerRoute);

/** Envoy's, for services that name none. */
const DEFAULT_TIMEOUT_MS = 200;

const HONOURED: readonly (keyof ExtAuthz & string)[] = [
  "services",
  "transportApiVersion",
  "failureModeAllow",
  "failureModeAllowHeaderAdd",
  "withRequestBody",
  "clearRouteCache",
  "statusOnError",
  "metadataContextNamespaces",
  "routeMetadataContextNamespaces",
  "filterEnabled",
  "filterEnabledMetadata",
  "denyAtDisable",
  "includePeerCertificate",
  "statPrefix",
  "allowedHeaders",
  "disallowedHeaders",
  "includeTlsSession",
  "chargeClusterResponseStats",
  "enableDynamicMetadataIngestion",
];

/** Reads the filter's configuration. Rules for mutations, raw header maps and typed metadata are refused. */
export function decodeExtAuthz(bytes: Uint8Array): ExtAuthzConfig {
  const message = ExtAuthz.decode(bytes);
  onlyFields(message, "", HONOURED);
  if (message.services?.$case === "grpcService" && message.transportApiVersion === ApiVersion.V2) {
    refuse("transport_api_version", "V2 is not supported by this proxy");
  }
  const http = message.services?.$case === "httpService";
  return {
    service: serviceOf(message.services),
    failureModeAllow: message.failureModeAllow,
    failureModeAllowHeader: message.failureModeAllowHeaderAdd,
    statusOnError: errorStatus(message.statusOnError, 403),
    body: message.withRequestBody === undefined ? undefined : bodyOf(message.withRequestBody, "with_request_body"),
    clearRouteCache: message.clearRouteCache,
    metadataNamespaces: message.metadataContextNamespaces,
    routeMetadataNamespaces: message.routeMetadataContextNamespaces,
    enabled: fraction(message.filterEnabled, 1),
    enabledMetadata:
      message.filterEnabledMetadata === undefined
        ? undefined
        : metadataMatch(message.filterEnabledMetadata, "filter_enabled_metadata"),
    denyAtDisable: message.denyAtDisable?.defaultValue ?? false,
    includePeerCertificate: message.includePeerCertificate,
    includeTlsSession: message.includeTlsSession,
    statPrefix: message.statPrefix,
    allowedHeaders: allowed(message, http),
    disallowedHeaders: matchers(message.disallowedHeaders, "disallowed_headers") ?? [],
    takesMetadata: message.enableDynamicMetadataIngestion ?? true,
  };
}

/** What an HTTP service is told whatever the configuration says. */
const ALWAYS = [":method", ":path", ":authority", "host", "authorization"];

function allowed({ services, allowedHeaders }: ExtAuthz, http: boolean): ExtAuthzConfig["allowedHeaders"] {
  const own = matchers(allowedHeaders, "allowed_headers");
  if (!http || services?.$case !== "httpService") return own;
  const old = services.value.authorizationRequest?.allowedHeaders;
  const at = "http_service.authorization_request.allowed_headers";
  if (own !== undefined && old !== undefined) refuse(at, "and allowed_headers exclude each other");
  const always = ALWAYS.map((value) => ({ kind: "exact", value, ignoreCase: true }) as const);
  return [...always, ...(own ?? matchers(old, at) ?? [])];
}

function serviceOf(services: ExtAuthz["services"]): ExtAuthzConfig["service"] {
  switch (services?.$case) {
    case "grpcService":
      return { kind: "grpc", ...grpcService(services.value, DEFAULT_TIMEOUT_MS, "grpc_service") };
    case "httpService":
      return { kind: "http", ...httpService(services.value, "http_service") };
    case undefined:
      return refuse("services", "grpc_service or http_service is required");
  }
}

function httpService(service: HttpService, at: string): HttpServiceSpec {
  const { serverUri: uri, pathPrefix } = service;
  if (uri?.timeout === undefined) return refuse(join(at, "server_uri.timeout"), "required");
  const timeoutMs = durationToMs(uri.timeout);
  if (timeoutMs < 0) refuse(join(at, "server_uri.timeout"), "must not be negative");
  if (pathPrefix !== "" && !pathPrefix.startsWith("/")) refuse(join(at, "path_prefix"), 'must begin with "/"');
  const { authorizationRequest: request, authorizationResponse: response } = service;
  const of = (list: ListStringMatcher | undefined, field: string) =>
    matchers(list, join(at, `authorization_response.${field}`));
  const client = of(response?.allowedClientHeaders, "allowed_client_headers");
  return {
    cluster: uri.httpUpstreamType?.value || refuse(join(at, "server_uri.cluster"), "required"),
    timeoutMs,
    pathPrefix,
    headersToAdd: (request?.headersToAdd ?? []).map(({ key, value }, i) => {
      return [headerName(key, join(at, `authorization_request.headers_to_add[${i}].key`)), value] as const;
    }),
    upstream: of(response?.allowedUpstreamHeaders, "allowed_upstream_headers") ?? [],
    upstreamAppend: of(response?.allowedUpstreamHeadersToAppend, "allowed_upstream_headers_to_append") ?? [],
    client: client === undefined ? undefined : [...client, ...CLIENT_ALWAYS],
    clientOnSuccess: of(response?.allowedClientHeadersOnSuccess, "allowed_client_headers_on_success") ?? [],
    metadata: of(response?.dynamicMetadataFromHeaders, "dynamic_metadata_from_headers") ?? [],
  };
}

/** What clients get with every refusal. */
const CLIENT_ALWAYS = ["www-authenticate", "location"].map(
  (value): StringMatchSpec => ({ kind: "exact", value, ignoreCase: true }),
);

function bodyOf({ maxRequestBytes, allowPartialMessage, packAsBytes }: BufferSettings, at: string): BodySettings {
  if (maxRequestBytes < 1) refuse(join(at, "max_request_bytes"), "must be greater than 0");
  return { maxBytes: maxRequestBytes, allowPartial: allowPartialMessage, asBytes: packAsBytes };
}

function matchers(list: ListStringMatcher | undefined, at: string): readonly StringMatchSpec[] | undefined {
  return list?.patterns.map((pattern, i) => stringMatch(pattern, `${at}.patterns[${i}]`));
}

/** @see envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute */
export function decodeExtAuthzPerRoute(bytes: Uint8Array): ExtAuthzRouteConfig {
  const { override } = ExtAuthzPerRoute.decode(bytes);
  switch (override?.$case) {
    case "disabled":
      if (!override.value) refuse("disabled", "must be true");
      return { disabled: true, contextExtensions: {}, body: undefined };
    case "checkSettings": {
      const { contextExtensions, disableRequestBodyBuffering, withRequestBody } = override.value;
      if (disableRequestBodyBuffering && withRequestBody !== undefined) {
        refuse("check_settings", "disable_request_body_buffering and with_request_body exclude each other");
      }
      const body = withRequestBody && bodyOf(withRequestBody, "check_settings.with_request_body");
      return { disabled: false, contextExtensions, body: disableRequestBodyBuffering ? null : body };
    }
    case undefined:
      return refuse("override", "required");
  }
}
