/** Where a span stands in a trace. Ids are lower-case hex. */
export interface TraceContext {
  /** 16 or 32 digits. */
  readonly traceId: string;
  /** 16 digits. */
  readonly spanId: string;
  /** Undefined: whoever is next decides. */
  readonly sampled: boolean | undefined;
  /** W3C `tracestate`, as it came. */
  readonly state: string;
}

/** Headers that a context is read from and written to. */
export interface ContextHeaders {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
}

const ZERO = /^0+$/;
/** Longest `tracestate` that is passed on. @see https://www.w3.org/TR/trace-context/#tracestate-limits */
const MAX_STATE = 512;

function id(text: string | undefined, lengths: readonly number[]): string | undefined {
  const lower = text?.toLowerCase() ?? "";
  return lengths.includes(lower.length) && /^[0-9a-f]+$/.test(lower) && !ZERO.test(lower) ? lower : undefined;
}

/** `traceparent`, and `tracestate` with it. @see https://www.w3.org/TR/trace-context/ */
export function readW3c(headers: ContextHeaders): TraceContext | undefined {
  const [version = "", trace, span, flags = "", more] = (headers.get("traceparent") ?? "").trim().split("-");
  const [traceId, spanId] = [id(trace, [32]), id(span, [16])];
  if (!/^[0-9a-f]{2}$/.test(version) || version === "ff" || !/^[0-9a-f]{2}$/.test(flags)) return undefined;
  if (traceId === undefined || spanId === undefined || (version === "00" && more !== undefined)) return undefined;
  const state = headers.get("tracestate") ?? "";
  const sampled = (Number.parseInt(flags, 16) & 1) === 1;
  return { traceId, spanId, sampled, state: state.length <= MAX_STATE ? state : "" };
}

export function writeW3c(headers: ContextHeaders, { traceId, spanId, sampled, state }: TraceContext): void {
  headers.set("traceparent", `00-${traceId.padStart(32, "0")}-${spanId}-${sampled ? "01" : "00"}`);
  if (state !== "") headers.set("tracestate", state);
}

/** `b3`, else `x-b3-*`. Without ids, `sampled` alone may be said. @see https://github.com/openzipkin/b3-propagation */
export function readB3(headers: ContextHeaders): Partial<TraceContext> | undefined {
  const single = headers.get("b3")?.trim();
  if (single !== undefined && single !== "") {
    const [trace, span, sampled] = single.split("-");
    if (span === undefined) return decided(trace);
    return ids(trace, span, sampled);
  }
  const sampled = headers.get("x-b3-flags") === "1" ? "d" : headers.get("x-b3-sampled");
  return ids(headers.get("x-b3-traceid"), headers.get("x-b3-spanid"), sampled) ?? decided(sampled);
}

function ids(
  trace: string | undefined,
  span: string | undefined,
  sampled: string | undefined,
): TraceContext | undefined {
  const [traceId, spanId] = [id(trace, [16, 32]), id(span, [16])];
  return traceId && spanId ? { traceId, spanId, state: "", sampled: decided(sampled)?.sampled } : undefined;
}

function decided(text: string | undefined): { readonly sampled: boolean } | undefined {
  if (text === "1" || text === "d" || text === "true") return { sampled: true };
  return text === "0" || text === "false" ? { sampled: false } : undefined;
}

/** A client that spoke `b3` is answered so to the next one, too: a header that stayed as it was would lead past this span. */
export function writeB3(headers: ContextHeaders, context: TraceContext, parentId: string | undefined): void {
  const sampled = context.sampled ? "1" : "0";
  headers.set("x-b3-traceid", context.traceId);
  headers.set("x-b3-spanid", context.spanId);
  if (parentId !== undefined) headers.set("x-b3-parentspanid", parentId);
  headers.set("x-b3-sampled", sampled);
  if (headers.get("b3") === undefined) return;
  const parent = parentId === undefined ? "" : `-${parentId}`;
  headers.set("b3", `${context.traceId}-${context.spanId}-${sampled}${parent}`);
}
