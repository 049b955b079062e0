import type { ForwardRecord, RequestRecord } from "@lateen/proxy";
import { objectOfConfig, objectOfPolicy } from "../objects.ts";

/** Why a request went as it went at one proxy, in words, with the objects responsible. */
export interface Cause {
  readonly why: string;
  /** `Kind namespace/name place`; the first is the one that decided. */
  readonly objects: readonly string[];
  /** What to look at or to change; undefined: nothing is wrong, or nothing is known. */
  readonly next?: string;
}

type Read = (record: RequestRecord, argument: string) => Cause;

/** Reads RESPONSE_CODE_DETAILS, `name` or `name{argument}` or `name[argument]`. */
export function causeOf(record: RequestRecord): Cause {
  const [, name = "", argument = ""] = /^([^{[]*)(?:[{[](.*)[}\]])?$/s.exec(record.details) ?? [];
  const read = READERS[name] ?? (name.startsWith("http1.") || name.startsWith("http2.") ? malformed : undefined);
  if (read !== undefined) return read(record, argument);
  const by = record.because === undefined ? [] : [objectOf(record.because)];
  return { why: `the proxy answered: ${record.details || "no reason is known"}`, objects: by };
}

/** An object as people write it: of a policy's name, a path in metadata, or a place that is one already. */
export function objectOf(text: string): string {
  return objectOfPolicy(text) ?? objectOfConfig(text) ?? text;
}

const READERS: Readonly<Record<string, Read>> = {
  via_upstream: (record) => ({
    why: `the application answered ${record.status}; the proxy only passed it on`,
    objects: routeObjects(record),
    ...(record.status < 400 ? {} : { next: `look at the log of ${record.forward?.workload ?? "the application"}` }),
  }),
  route_not_found: routeNotFound,
  cluster_not_found: (record) => ({
    why: `${clusterText(record.forward)} does not exist`,
    objects: routeObjects(record),
    next: missingCluster(record.forward?.cluster ?? ""),
  }),
  no_healthy_upstream: noHealthyUpstream,
  upstream_reset_before_response_started: upstreamReset,
  upstream_reset_after_response_started: (record) => ({
    why: `${endpointText(record.forward)} broke off within its response`,
    objects: clusterObjects(record),
    next: "the client has got a part of the body; look at the application's log",
  }),
  response_timeout: (record) => ({
    why: `${endpointText(record.forward)} did not answer within the ${record.forward?.timeoutMs ?? 0} ms that the route gives`,
    objects: routeObjects(record),
    next: "the time is `timeout` of the rule",
  }),
  upstream_per_try_timeout: (record) => ({
    why: `no attempt was answered within the ${record.forward?.perTryTimeoutMs ?? 0} ms that each has`,
    objects: routeObjects(record),
    next: "the time is `retries.perTryTimeout` of the rule",
  }),
  request_overall_timeout: () => ({ why: "the client did not send its whole request in time", objects: [] }),
  request_header_timeout: () => ({ why: "the client did not send the head of its request in time", objects: [] }),
  stream_idle_timeout: (record) => ({
    why: "nothing moved on this request for too long",
    objects: routeObjects(record),
  }),
  direct_response: directResponse,
  fault_filter_abort: (record) => ({
    why: "a fault was injected",
    objects: record.because === undefined ? [] : [objectOf(record.because)],
    next: "it is `fault.abort` of the rule",
  }),
  rbac_access_denied_matched_policy: accessDenied,
  jwt_authn_access_denied: (_, argument) => ({
    why: `the token was refused: ${argument.replaceAll("_", " ")}`,
    objects: [],
    next: "RequestAuthentication says which tokens are taken",
  }),
  ext_authz_denied: (record) => external(record, "denied it"),
  ext_authz_error: (record) => external(record, "could not be asked, and the filter is not to let requests pass then"),
  request_rate_limited: (record) => ({
    why: `over the limit of the rate-limit service ${record.because ?? ""}`.trimEnd(),
    objects: [],
  }),
  rate_limiter_error: (record) => ({
    why: `the rate-limit service ${record.because ?? ""} could not be asked, and the filter is not to let requests pass then`,
    objects: [],
  }),
  local_rate_limited: () => ({ why: "over the limit that this proxy keeps by itself (local_ratelimit)", objects: [] }),
  cors_response: (record) => ({
    why: "a CORS preflight, which the route's policy answers",
    objects: routeObjects(record),
  }),
  request_payload_too_large: () => ({ why: "the body is larger than a filter takes", objects: [] }),
  downstream_remote_disconnect: (record) => ({
    why: `the client went away after ${Math.round(record.durationMs)} ms, before it was answered`,
    objects: [],
    next: "it may have a timeout of its own that is shorter than the application needs",
  }),
  missing_host_header: () => ({ why: "the request has no Host header", objects: [] }),
  low_version: () => ({ why: "HTTP/1.0 is not taken here", objects: [] }),
  path_normalization_failed: () => ({
    why: "the path cannot be normalised, or is not to be sent like this",
    objects: [],
  }),
  upgrade_failed: (record) => ({
    why: "the client wants another protocol, and neither route nor proxy allow it",
    objects: routeObjects(record),
  }),
  internal_error: () => ({
    why: "a defect of the proxy",
    objects: [],
    next: "its log has an event worker.defect; please report it",
  }),
};

function malformed({ because, details }: RequestRecord): Cause {
  return { why: `the client sent what is no proper HTTP (${because ?? details})`, objects: [] };
}

function routeNotFound({ routeTable, virtualHost, authority, method, path }: RequestRecord): Cause {
  if (routeTable === undefined) return { why: "the route table has not arrived from the control plane", objects: [] };
  if (virtualHost === undefined) {
    return {
      why: `nothing in route table ${routeTable} serves the host ${authority}`,
      objects: [],
      next: "a host needs a Service, a ServiceEntry, or a VirtualService (of this Gateway, at a gateway) that this proxy may see",
    };
  }
  return {
    why: `virtual host ${virtualHost} has no route for ${method} ${path}`,
    objects: [],
    next: `no rule of the VirtualServices for ${virtualHost.replace(/:\d+$/, "")} matches, and none is without conditions`,
  };
}

function noHealthyUpstream(record: RequestRecord): Cause {
  const { forward } = record;
  const { cluster = "", endpoints = 0, ejected = 0 } = forward ?? {};
  const objects = clusterObjects(record);
  return noEndpoint({ cluster: clusterText(forward), subset: subsetOf(cluster), endpoints, ejected, objects });
}

/** Why a cluster had nobody to send to. */
export interface WithoutEndpoint {
  /** As a reader calls it. */
  readonly cluster: string;
  /** Empty: none. */
  readonly subset: string;
  readonly endpoints: number;
  readonly ejected: number;
  readonly objects: readonly string[];
}

/** Tells clusters without endpoints from those of which none may be used. */
export function noEndpoint({ cluster, subset, endpoints, ejected, objects }: WithoutEndpoint): Cause {
  if (endpoints === 0) {
    return {
      why: `${cluster} has no endpoints`,
      objects,
      next: subset === "" ? "no pod is ready behind this host" : `no ready pod has the labels of subset ${subset}`,
    };
  }
  return {
    why:
      ejected > 0
        ? `of the ${endpoints} endpoints of ${cluster}, outlier detection holds back ${ejected}`
        : `none of the ${endpoints} endpoints of ${cluster} is well`,
    objects,
    next: ejected > 0 ? "they failed too often: `trafficPolicy.outlierDetection`" : "their health checks fail",
  };
}

/** What Envoy's circuit breakers are called in a DestinationRule. */
const BREAKERS: Readonly<Record<string, string>> = {
  max_requests: "connectionPool.http.http2MaxRequests",
  max_pending_requests: "connectionPool.http.http1MaxPendingRequests",
  max_retries: "connectionPool.http.maxRetries",
};

function upstreamReset(record: RequestRecord, argument: string): Cause {
  const { forward } = record;
  const last = forward?.failures.at(-1);
  const [reason = ""] = argument.split("|", 1);
  const tries = (forward?.attempts ?? 0) > 1 ? ` (${forward?.attempts} attempts)` : "";
  if (reason === "overflow") {
    const [breaker = "", limit = ""] = (last?.detail ?? "").split(" ");
    return {
      why: `the circuit breaker of ${clusterText(forward)} is open: ${breaker} is ${limit}`,
      objects: clusterObjects(record),
      next: `the limit is \`trafficPolicy.${BREAKERS[breaker] ?? "connectionPool"}\``,
    };
  }
  const heard = forward?.transportFailure === undefined ? "" : `: ${forward.transportFailure.replaceAll("_", " ")}`;
  return {
    why: `${endpointText(forward)}: ${reason.replaceAll("_", " ")} before a response came${tries}${heard}`,
    objects: clusterObjects(record),
    ...resetNext(reason, forward),
  };
}

function resetNext(reason: string, forward: ForwardRecord | undefined): { readonly next?: string } {
  switch (reason) {
    case "remote_connection_failure":
      return {
        next: "nothing listens there, or the two sides do not agree on TLS (DestinationRule here, PeerAuthentication there)",
      };
    case "connection_termination":
      return forward?.tls === "none"
        ? {
            next: "a server that takes only mutual TLS closes plain connections: DestinationRule here, PeerAuthentication there",
          }
        : { next: "the server closed the connection; look at its log" };
    case "protocol_error":
      return { next: "the server does not speak what the port's protocol says" };
    default:
      return {};
  }
}

/** Istio's own virtual hosts of traffic that leaves the mesh. */
const BLOCKED = "block_all";

function directResponse(record: RequestRecord): Cause {
  const { status, virtualHost, authority } = record;
  if (virtualHost === BLOCKED) {
    return {
      why: `${authority} is no host of the mesh, and others may not be called (outboundTrafficPolicy REGISTRY_ONLY)`,
      objects: [],
      next: "a ServiceEntry makes it known",
    };
  }
  const what = status >= 300 && status < 400 ? "a redirect" : "an answer of its own";
  return { why: `the route gives ${what}`, objects: routeObjects(record) };
}

function accessDenied({ because, candidates = [] }: RequestRecord, argument: string): Cause {
  if (because !== undefined) return { why: "a DENY policy matches", objects: [objectOf(because)] };
  const policies = candidates.map(objectOf);
  return {
    why:
      argument === "none" && policies.length === 0 ? "nothing is allowed here" : "none of the ALLOW policies matches",
    objects: policies,
    next: policies.length === 0 ? "an ALLOW policy without rules refuses everything" : "one of these rules must match",
  };
}

function external({ because, shadowPolicies = [] }: RequestRecord, did: string): Cause {
  return {
    why: `the external authorizer ${because ?? ""} ${did}`.replace("  ", " "),
    objects: shadowPolicies.map(objectOf),
  };
}

function routeObjects({ route }: RequestRecord): readonly string[] {
  return route?.origin === undefined ? [] : [objectOf(route.origin)];
}

function clusterObjects({ route, forward }: Pick<RequestRecord, "route" | "forward">): readonly string[] {
  return [forward?.origin, route?.origin].flatMap((origin) => (origin === undefined ? [] : [objectOf(origin)]));
}

function clusterText(forward: ForwardRecord | undefined): string {
  return `cluster ${forward?.cluster ?? ""}`;
}

function endpointText(forward: ForwardRecord | undefined): string {
  const { endpoint = "the upstream", workload } = forward ?? {};
  return workload === undefined ? endpoint : `${endpoint} (${workload})`;
}

/** `outbound|PORT|SUBSET|HOST` */
function subsetOf(cluster: string): string {
  return cluster.split("|")[2] ?? "";
}

function missingCluster(cluster: string): string {
  const [, port = "", subset = "", host = ""] = cluster.split("|");
  if (host === "") return "the control plane has not sent it";
  return subset === ""
    ? `no Service or ServiceEntry that this proxy may see has host ${host} with port ${port}`
    : `host ${host} has no port ${port}, or no DestinationRule for it has a subset ${subset}`;
}
