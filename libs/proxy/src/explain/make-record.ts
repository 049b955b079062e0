import { addressText, type ConnectionInfo } from "../listener/connection-info.ts";
import type { RefusedLog } from "../router/exchange-log.ts";
import type { ExchangeState } from "../router/exchange-state.ts";
import type { ChainFacts } from "../worker/state.ts";
import type { ForwardRecord, RequestRecord } from "./request-record.ts";

/** Bytes of a client's text that are kept. */
const LONGEST_TEXT = 256;
const LONGEST_ID = 128;
/** How filters that only look name what they would have decided by. */
const SHADOW_POLICY = "shadow_effective_policy_id";
const RBAC = "envoy.filters.http.rbac";

/**
 * Whether a request is recorded without being asked for: the proxy answered it, it failed, or it took more than one attempt. Cheap,
 * since every request is looked at.
 */
export function isNotable(exchange: ExchangeState): boolean {
  return (
    exchange.reply !== undefined ||
    exchange.responseCode >= 400 ||
    exchange.responseCode === 0 ||
    (exchange.forward?.failures !== undefined && exchange.forward.failures.length > 0) ||
    (exchange.responseTrailers !== "" && exchange.grpcStatus > 0)
  );
}

/** The record of an exchange that has just ended; its heads are still its own. */
export function requestRecord(exchange: ExchangeState): RequestRecord {
  const { head, host, info, match, reply } = exchange;
  const { chain } = host;
  const table = host.routes();
  const virtualHost =
    match?.virtualHost ?? (head.authorityEnd > head.authorityStart ? table?.virtualHost(head) : undefined);
  const shadow = shadowPolicies(exchange);
  const forward = forwardOf(exchange);
  return {
    ...{ requestId: cut(exchange.requestId, LONGEST_ID), startTimeMs: exchange.startTimeMs },
    ...{ durationMs: exchange.durationMs, ...placeOf(chain), protocol: exchange.log.protocol },
    method: head.methodText,
    authority: authorityOf(exchange),
    path: pathOf(exchange),
    ...{ status: exchange.responseCode, grpcStatus: exchange.grpcStatus },
    ...{ flags: exchange.responseFlags, details: exchange.responseDetails },
    answeredBy: reply !== undefined ? "proxy" : exchange.responseCode === 0 ? "nobody" : "upstream",
    ...(reply?.because === undefined ? {} : { because: reply.because }),
    ...(reply?.candidates === undefined ? {} : { candidates: reply.candidates }),
    ...(shadow.length === 0 ? {} : { shadowPolicies: shadow }),
    ...endsOf(info, exchange.remoteAddress),
    ...(table === undefined ? {} : { routeTable: table.spec.name }),
    ...(virtualHost === undefined ? {} : { virtualHost: virtualHost.spec.name }),
    ...(match === undefined ? {} : { route: routeOf(match.route.spec) }),
    ...(forward === undefined ? {} : { forward }),
  };
}

/** As the client sent it. */
function authorityOf({ head, weighted, requestEdits, forward }: ExchangeState): string {
  const original =
    forward === undefined || weighted?.hostRewrite === undefined
      ? undefined
      : requestEdits.textOf("x-envoy-original-host");
  if (original !== undefined) return cut(original, LONGEST_TEXT);
  // Reads no more than is kept: a short piece of a long text would hold all of it.
  return head.text(head.authorityStart, Math.min(head.authorityEnd, head.authorityStart + LONGEST_TEXT));
}

/** As the client sent it, without its query. */
function pathOf({ head, match, requestEdits, forward }: ExchangeState): string {
  // A route that rewrites the path notes what it was.
  const original =
    forward === undefined || match?.route.rewrite === undefined
      ? undefined
      : requestEdits.textOf("x-envoy-original-path");
  if (original !== undefined) return cut(original.replace(/\?.*$/s, ""), LONGEST_TEXT);
  const { pathStart, pathEnd, queryStart } = head;
  const end = queryStart >= pathStart ? Math.min(queryStart, pathEnd) : pathEnd;
  return head.text(pathStart, Math.min(end, pathStart + LONGEST_TEXT));
}

/** The record of a request that was refused before it was one. */
export function refusedRecord(refused: RefusedLog, chain: ChainFacts): RequestRecord {
  const { info, startTimeMs, status, details, reason, protocol, flags } = refused;
  return {
    ...{ requestId: "", startTimeMs, durationMs: 0, ...placeOf(chain), protocol },
    ...{ method: "", authority: "", path: "" },
    ...{ status, grpcStatus: -1, flags, details, answeredBy: "proxy" },
    ...(reason === details ? {} : { because: reason }),
    ...endsOf(info, info.sourceAddress),
  };
}

function placeOf({ direction, listener, chain }: ChainFacts) {
  return { direction, listener, chain };
}

function endsOf(info: ConnectionInfo, address: string) {
  const principal = info.peer?.principal;
  return {
    client: { address: cut(address, LONGEST_ID), ...(principal === undefined ? {} : { principal }) },
    destination: addressText(info.destinationAddress, info.destinationPort),
  };
}

function routeOf({ name, origin }: { readonly name: string; readonly origin: string | undefined }) {
  return { name, ...(origin === undefined ? {} : { origin }) };
}

function forwardOf(exchange: ExchangeState): ForwardRecord | undefined {
  const { weighted, target, forward, match } = exchange;
  const action = match?.route.action;
  if (weighted === undefined || action?.kind !== "forward") return undefined;
  const endpoint = forward?.endpoint;
  const workload = endpoint?.spec.workload;
  const { retry, timeoutMs } = forward?.forwarding ?? action;
  const { upstreamPrincipal } = exchange;
  return {
    cluster: weighted.cluster,
    ...(target?.spec.origin === undefined ? {} : { origin: target.spec.origin }),
    exists: target !== undefined,
    endpoints: target?.endpointCount ?? 0,
    ejected: target?.ejectedCount ?? 0,
    ...{ timeoutMs, perTryTimeoutMs: retry?.perTryTimeoutMs ?? 0, retries: retry?.attempts ?? 0 },
    attempts: forward?.attempts ?? 0,
    ...(endpoint === undefined ? {} : { endpoint: endpoint.text }),
    ...(workload === undefined ? {} : { workload: `${workload.namespace}/${workload.workload}` }),
    tls: exchange.upstreamMutualTls ? "mutual" : endpoint?.transport.kind === "tls" ? "tls" : "none",
    ...(upstreamPrincipal === undefined ? {} : { principal: upstreamPrincipal }),
    failures: forward?.failures ?? [],
    ...(exchange.transportFailure === "" ? {} : { transportFailure: exchange.transportFailure }),
  };
}

function shadowPolicies(exchange: ExchangeState): readonly string[] {
  const values = exchange.metadata(RBAC);
  if (values === undefined) return [];
  return Object.entries(values).flatMap(([key, value]) =>
    key.endsWith(SHADOW_POLICY) && typeof value === "string" ? [value] : [],
  );
}

/** A copy of its beginning, which does not keep the whole text alive. */
function cut(text: string, longest: number): string {
  return text.length <= longest ? text : Buffer.from(text.slice(0, longest), "latin1").toString("latin1");
}
