import { clearField, isFieldSet } from "@bufbuild/protobuf";
import { type DynamicMessage, type EnvoyMessages, isMessage, oneof } from "./messages.ts";

/**
 * What proxies of this project honour of the messages that patches of clusters, routes and connection managers are made of. Their decoders refuse anything
 * else, so that nothing is dropped silently; `honoured.test.ts` holds this table against them.
 */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  "envoy.config.cluster.v3.Cluster": [
    "name",
    "altStatName",
    "clusterDiscoveryType",
    "connectTimeout",
    "perConnectionBufferLimitBytes",
    "loadAssignment",
    "circuitBreakers",
    "outlierDetection",
    "dnsRefreshRate",
    "dnsFailureRefreshRate",
    "respectDnsTtl",
    "dnsLookupFamily",
    "waitForWarmOnInit",
  ],
  "envoy.config.cluster.v3.CircuitBreakers": ["thresholds"],
  "envoy.config.cluster.v3.CircuitBreakers.Thresholds": [
    "priority",
    "maxConnections",
    "maxPendingRequests",
    "maxRequests",
    "maxRetries",
    "trackRemaining",
  ],
  "envoy.config.cluster.v3.OutlierDetection": [
    "consecutive5xx",
    "interval",
    "baseEjectionTime",
    "maxEjectionPercent",
    "enforcingConsecutive5xx",
    "consecutiveGatewayFailure",
    "enforcingConsecutiveGatewayFailure",
  ],
  "envoy.config.endpoint.v3.ClusterLoadAssignment": ["clusterName", "endpoints"],
  "envoy.config.endpoint.v3.LocalityLbEndpoints": ["locality", "lbEndpoints", "loadBalancingWeight", "priority"],
  "envoy.config.endpoint.v3.LbEndpoint": ["hostIdentifier", "loadBalancingWeight"],
  "envoy.config.endpoint.v3.Endpoint": ["address"],
  "envoy.config.core.v3.Locality": ["region", "zone", "subZone"],
  "envoy.config.core.v3.Address": ["address"],
  "envoy.config.core.v3.SocketAddress": ["address", "portSpecifier"],
  "envoy.config.route.v3.RouteConfiguration": ["requestHeadersToAdd", "responseHeadersToAdd"],
  "envoy.config.route.v3.VirtualHost": [
    "name",
    "domains",
    "routes",
    "requestHeadersToAdd",
    "requestHeadersToRemove",
    "responseHeadersToAdd",
    "responseHeadersToRemove",
    "rateLimits",
  ],
  "envoy.config.route.v3.Route": [
    "name",
    "match",
    "action",
    "requestHeadersToAdd",
    "requestHeadersToRemove",
    "responseHeadersToAdd",
    "responseHeadersToRemove",
  ],
  "envoy.config.route.v3.RouteMatch": ["pathSpecifier"],
  "envoy.config.route.v3.RouteAction": ["clusterSpecifier", "timeout", "rateLimits", "includeVhRateLimits"],
  "envoy.config.route.v3.RateLimit": ["stage", "disableKey", "actions"],
  "envoy.config.route.v3.RateLimit.Action": ["actionSpecifier"],
  "envoy.config.route.v3.RateLimit.Action.SourceCluster": [],
  "envoy.config.route.v3.RateLimit.Action.DestinationCluster": [],
  "envoy.config.route.v3.RateLimit.Action.RemoteAddress": [],
  "envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress": ["v4PrefixMaskLen", "v6PrefixMaskLen"],
  "envoy.config.route.v3.RateLimit.Action.RequestHeaders": ["headerName", "descriptorKey", "skipIfAbsent"],
  "envoy.config.route.v3.RateLimit.Action.GenericKey": ["descriptorKey", "descriptorValue"],
  "envoy.config.route.v3.RateLimit.Action.HeaderValueMatch": [
    "descriptorKey",
    "descriptorValue",
    "expectMatch",
    "headers",
  ],
  "envoy.config.route.v3.RateLimit.Action.MetaData": [
    "descriptorKey",
    "metadataKey",
    "defaultValue",
    "source",
    "skipIfAbsent",
  ],
  "envoy.type.metadata.v3.MetadataKey": ["key", "path"],
  "envoy.type.metadata.v3.MetadataKey.PathSegment": ["segment"],
  "envoy.config.route.v3.HeaderMatcher": ["name", "headerMatchSpecifier", "invertMatch", "treatMissingHeaderAsEmpty"],
  "envoy.type.matcher.v3.StringMatcher": ["matchPattern", "ignoreCase"],
  "envoy.type.matcher.v3.RegexMatcher": ["regex"],
  "envoy.config.route.v3.DirectResponseAction": ["status", "body"],
  "envoy.config.route.v3.RedirectAction": ["hostRedirect", "pathRewriteSpecifier", "responseCode"],
  "envoy.config.core.v3.DataSource": ["specifier"],
  "envoy.config.core.v3.HeaderValueOption": ["header", "appendAction"],
  "envoy.config.core.v3.HeaderValue": ["key", "value"],
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": [
    "serverName",
    "serverHeaderTransformation",
    "commonHttpProtocolOptions",
    "httpProtocolOptions",
    "http2ProtocolOptions",
    "streamIdleTimeout",
    "requestTimeout",
    "useRemoteAddress",
    "xffNumTrustedHops",
    "appendXForwardedPort",
    "generateRequestId",
    "preserveExternalRequestId",
    "alwaysSetRequestIdInResponse",
    "forwardClientCertDetails",
    "setCurrentClientCertDetails",
    "normalizePath",
    "mergeSlashes",
    "pathWithEscapedSlashesAction",
    "stripMatchingHostPort",
    "stripPortMode",
    "upgradeConfigs",
  ],
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails": [
    "subject",
    "cert",
    "dns",
    "uri",
  ],
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig": [
    "upgradeType",
    "enabled",
  ],
  "envoy.config.core.v3.HttpProtocolOptions": ["idleTimeout", "headersWithUnderscoresAction"],
  "envoy.config.core.v3.Http1ProtocolOptions": ["acceptHttp10", "allowCustomMethods"],
  "envoy.config.core.v3.Http2ProtocolOptions": ["maxConcurrentStreams"],
  "google.protobuf.Duration": ["seconds", "nanos"],
};
/** Alternatives that are honoured where not all are. */
const CASES: Readonly<Record<string, readonly string[]>> = {
  clusterDiscoveryType: ["type"],
  hostIdentifier: ["endpoint"],
  "envoy.config.core.v3.Address.address": ["socketAddress"],
  portSpecifier: ["portValue"],
  pathSpecifier: ["prefix", "path"],
  action: ["route", "redirect", "directResponse"],
  clusterSpecifier: ["cluster"],
  pathRewriteSpecifier: ["pathRedirect"],
  specifier: ["inlineString"],
  stripPortMode: ["stripAnyHostPort"],
  actionSpecifier: [
    "sourceCluster",
    "destinationCluster",
    "remoteAddress",
    "maskedRemoteAddress",
    "requestHeaders",
    "genericKey",
    "headerValueMatch",
    "metadata",
  ],
  segment: ["key"],
  headerMatchSpecifier: ["exactMatch", "prefixMatch", "suffixMatch", "presentMatch", "stringMatch"],
  matchPattern: ["exact", "prefix", "suffix", "contains", "safeRegex"],
};

/** Fields of a message that proxies of this project do not honour, as paths in lower camel case; of a list the first. */
export function notHonoured(messages: EnvoyMessages, message: DynamicMessage): readonly string[] {
  const known = FIELDS[message.$typeName];
  const description = messages.find(message.$typeName);
  if (known === undefined || description === undefined) return [""];
  return description.members.flatMap((member) => {
    const { localName } = member;
    const value = message[localName];
    if (member.kind === "oneof") {
      const { case: chosen, value: content } = value as { readonly case?: string; readonly value?: unknown };
      if (chosen === undefined) return [];
      if (!known.includes(localName) || !isCase(message, localName, chosen)) return [chosen];
      return within(messages, chosen, content);
    }
    if (isEmpty(value)) return [];
    if (!known.includes(localName)) return [localName];
    return within(messages, localName, value);
  });
}

/** Takes what is not honoured out of a message, and answers its paths in lower camel case. The message is of a type that is known here. */
export function withoutUnhonoured(messages: EnvoyMessages, message: DynamicMessage): readonly string[] {
  const known = FIELDS[message.$typeName] ?? [];
  return messages.type(message.$typeName).members.flatMap((member) => {
    const chosen = member.kind === "oneof" ? oneof(message, member.localName) : undefined;
    const field = member.kind === "oneof" ? member.fields.find(({ localName }) => localName === chosen?.case) : member;
    if (field === undefined || !isFieldSet(message, field)) return [];
    const honoured =
      known.includes(member.localName) &&
      (member.kind !== "oneof" || isCase(message, member.localName, field.localName));
    const value = chosen === undefined ? message[field.localName] : chosen.value;
    if (honoured && isMessage(value) && FIELDS[value.$typeName] !== undefined) {
      return withoutUnhonoured(messages, value).map((path) => `${field.localName}.${path}`);
    }
    const [path] = honoured ? within(messages, field.localName, value) : [field.localName];
    if (path !== undefined) clearField(message, field);
    return path === undefined ? [] : [path];
  });
}

function isCase(message: DynamicMessage, name: string, chosen: string): boolean {
  return (CASES[`${message.$typeName}.${name}`] ?? CASES[name])?.includes(chosen) ?? false;
}

function within(messages: EnvoyMessages, name: string, value: unknown): readonly string[] {
  const parts: readonly unknown[] = Array.isArray(value) ? value : [value];
  const paths = parts.flatMap((part) => (isMessage(part) ? notHonoured(messages, part) : []));
  return [...new Set(paths)].map((path) => (path === "" ? name : `${name}.${path}`)).slice(0, 1);
}

/** Not set, as proto sees it: also a scalar at its default. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === "" || value === 0 || value === 0n || value === false) return true;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  return typeof value === "object" && value !== null && !("$typeName" in value) && Object.keys(value).length === 0;
}
