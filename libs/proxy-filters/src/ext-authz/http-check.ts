import type { Exchange, SideOutcome, SideRequest } from "@lateen/proxy";
import { compileTextMatch, type StringMatchSpec, wireText } from "@lateen/traffic";
import { bodyBytes, type CheckFacts, isPartial, PARTIAL_BODY } from "./check.ts";
import type { HttpServiceSpec } from "./config.ts";
import type { AuthzVerdict, HeaderPair } from "./verdict.ts";

/** Longer answers count as none. */
const MAX_RESPONSE_BYTES = 1024 * 1024;
/** How the message was framed says nothing about the next one. */
const HOP = new Set([
  "connection",
  "content-length",
  "transfer-encoding",
  "keep-alive",
  "te",
  "upgrade",
  "host",
  "trailer",
]);

/** The request that asks an HTTP service about another one: its head, and as much of its body as is to be shown. */
export function httpCheck(exchange: Exchange, service: HttpServiceSpec, facts: CheckFacts): SideRequest {
  const { request } = exchange;
  const headers: HeaderPair[] = [];
  for (const [name, value] of facts.headers) {
    if (!name.startsWith(":") && !HOP.has(name) && name !== "expect") headers.push([name, wireText(value)]);
  }
  if (facts.body !== undefined) headers.push([PARTIAL_BODY, String(isPartial(facts.body, facts.bodySettings))]);
  const added = service.headersToAdd.map(([name, value]) => [name, wireText(value)] as const);
  const names = new Set(added.map(([name]) => name));
  return {
    cluster: service.cluster,
    method: request.text(request.methodStart, request.methodEnd),
    path: `${service.pathPrefix}${request.text(request.pathStart, request.pathEnd)}`,
    authority: request.text(request.authorityStart, request.authorityEnd),
    headers: [...headers.filter(([name]) => !names.has(name)), ...added],
    body: bodyBytes(facts.body, facts.bodySettings) ?? Buffer.alloc(0),
    grpc: false,
    timeoutMs: service.timeoutMs,
    maxResponseBytes: MAX_RESPONSE_BYTES,
  };
}

/** Reads the answers of an HTTP service: 200 lets pass, 5xx says nothing, all else is a refusal. */
export function httpVerdicts(service: HttpServiceSpec): (outcome: SideOutcome) => AuthzVerdict {
  const upstream = compileAll(service.upstream);
  const append = compileAll(service.upstreamAppend);
  const client = service.client === undefined ? () => true : compileAll(service.client);
  const onSuccess = compileAll(service.clientOnSuccess);
  const metadata = compileAll(service.metadata);
  return (outcome) => {
    if (outcome.kind === "failed")
      return { kind: "error", timeout: outcome.reason === "timeout", detail: outcome.detail };
    const headers = outcome.headers.filter(([name]) => !HOP.has(name));
    const told = headers.filter(([name]) => metadata(name));
    const dynamic = told.length === 0 ? undefined : Object.fromEntries(told);
    if (outcome.status >= 500) return { kind: "error", timeout: false, detail: `status ${outcome.status}` };
    if (outcome.status !== 200) {
      const body = outcome.body.toString("utf8");
      return { kind: "denied", status: outcome.status, body, ...refusalHeaders(headers, client), metadata: dynamic };
    }
    const removed = outcome.headers.filter(([name]) => name === "x-envoy-auth-headers-to-remove");
    return {
      kind: "ok",
      set: headers.filter(([name]) => upstream(name)),
      append: [],
      add: headers.filter(([name]) => append(name)),
      remove: removed.flatMap(([, value]) => value.split(",").map((name) => name.trim().toLowerCase())),
      response: headers.filter(([name]) => onSuccess(name)).map(([name, value]) => ({ name, value, action: "append" })),
      querySet: [],
      queryRemove: [],
      metadata: dynamic,
    };
  };
}

/** The first of a header's values replaces what is there, further ones follow it. */
function refusalHeaders(headers: readonly HeaderPair[], wanted: (name: string) => boolean) {
  const set: HeaderPair[] = [];
  const append: HeaderPair[] = [];
  for (const header of headers) {
    if (!wanted(header[0])) continue;
    (set.some(([name]) => name === header[0]) ? append : set).push(header);
  }
  return { set, append };
}

function compileAll(specs: readonly StringMatchSpec[]): (name: string) => boolean {
  const matches = specs.map(compileTextMatch);
  return (name) => matches.some((match) => match(name));
}
