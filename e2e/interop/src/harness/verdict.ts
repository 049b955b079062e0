import type { Answer } from "./http.ts";
import type { Seen } from "./upstream.ts";

/** What a client can tell of how its request fared, without what differs from request to request. */
export interface Verdict {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Which application answered; absent: the proxy itself. */
  readonly pod?: string;
  readonly seen?: Omit<Seen, "pod">;
  readonly body?: string;
}

/** Values that no two requests share, and framing of the one connection (a listener that is replaced closes its connections). */
const VOLATILE = new Set(["date", "connection", "x-envoy-upstream-service-time", "keep-alive", "transfer-encoding"]);
const TRACING = /^(x-b3-|traceparent$|tracestate$)/;

/** @param pool which endpoint of a service answered does not count */
export function verdict({ status, headers, body }: Answer, pool: boolean): Verdict {
  // How exactly a connection is refused is the kernel's word.
  if (status === 0) return { status, headers: {} };
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!VOLATILE.has(name)) kept[name] = String(value);
  }
  const seen = seenIn(body);
  if (seen === undefined) return { status, headers: kept, ...(body === "" ? {} : { body }) };
  const { pod, ...rest } = seen;
  if (pool) {
    for (const name of ["server", "content-length"]) delete kept[name];
  }
  return {
    status,
    headers: kept,
    pod: pool ? pod.replace(/-v\d$/, "") : pod.replace(/-(envoy|own)$/, ""),
    seen: { ...rest, headers: steadyHeaders(seen, pool) },
  };
}

function steadyHeaders({ headers }: Seen, pool: boolean): Readonly<Record<string, string>> {
  // The endpoint behind our proxy sees more than the two that have none.
  const kept = Object.entries(headers)
    .filter(([name]) => !(TRACING.test(name) || (pool && name === "x-forwarded-client-cert")))
    .map(([name, value]) => [name, steady(name, value)])
    .sort(([a = ""], [b = ""]) => (a < b ? -1 : 1));
  return Object.fromEntries(kept);
}

/** A body as text, without what differs from request to request. */
export function steadyBody(body: string): string {
  const seen = seenIn(body);
  return seen === undefined ? body : JSON.stringify({ ...seen, headers: steadyHeaders(seen, false) }, null, 1);
}

function seenIn(body: string): Seen | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null && "pod" in value ? (value as Seen) : undefined;
  } catch {
    return undefined;
  }
}

function steady(name: string, value: string): string {
  if (name === "x-request-id") return value === "" ? "" : "some id";
  // What is left of a timeout after a first attempt.
  if (name === "x-envoy-expected-rq-timeout-ms") return `${Math.ceil(Number(value) / 100)} tenths`;
  return name === "x-forwarded-client-cert" ? value.replaceAll(/Hash=[0-9a-f]+/g, "Hash=…") : value;
}
