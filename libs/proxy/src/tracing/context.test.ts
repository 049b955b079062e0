import { describe, expect, it } from "vitest";
import { type ContextHeaders, readB3, readW3c, type TraceContext, writeB3, writeW3c } from "./context.ts";
import { sample } from "./sampling.ts";
import type { TracingSpec } from "./spec.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
type Plain = Readonly<Record<string, string>>;

function headers(from: Plain): ContextHeaders & { readonly all: Map<string, string> } {
  const all = new Map(Object.entries(from));
  return { all, get: (name) => all.get(name), set: (name, value) => void all.set(name, value) };
}

describe("a context is read", () => {
  const read = { traceId: TRACE, spanId: SPAN, sampled: true, state: "" };
  it.each<[string, "w3c" | "b3", Plain, Partial<TraceContext> | undefined]>([
    ["of W3C", "w3c", { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "a=b" }, { ...read, state: "a=b" }],
    ["of W3C, not sampled", "w3c", { traceparent: `00-${TRACE}-${SPAN}-00` }, { ...read, sampled: false }],
    ["of a later W3C", "w3c", { traceparent: `01-${TRACE}-${SPAN}-01-more` }, read],
    ["not of W3C with more than there is", "w3c", { traceparent: `00-${TRACE}-${SPAN}-01-more` }, undefined],
    ["not of version ff", "w3c", { traceparent: `ff-${TRACE}-${SPAN}-01` }, undefined],
    ["not of zeros", "w3c", { traceparent: `00-${"0".repeat(32)}-${SPAN}-01` }, undefined],
    ["not of short ids", "w3c", { traceparent: `00-${SPAN}-${SPAN}-01` }, undefined],
    ["not of what is no hex", "w3c", { traceparent: `00-${TRACE}-00f067aa0ba902bx-01` }, undefined],
    ["not of nothing", "w3c", {}, undefined],
    [
      "without a state that is too long",
      "w3c",
      { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "a".repeat(513) },
      read,
    ],
    ["of B3", "b3", { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1" }, read],
    [
      "of B3 with short ids",
      "b3",
      { "x-b3-traceid": SPAN, "x-b3-spanid": SPAN, "x-b3-sampled": "0" },
      { ...read, traceId: SPAN, sampled: false },
    ],
    ["of B3 for debugging", "b3", { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-flags": "1" }, read],
    [
      "of B3 that leaves it open",
      "b3",
      { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN },
      { ...read, sampled: undefined },
    ],
    ["of B3 that only decides", "b3", { "x-b3-sampled": "0" }, { sampled: false }],
    ["of single B3", "b3", { b3: `${TRACE}-${SPAN}-1-${SPAN}` }, read],
    ["of single B3 for debugging", "b3", { b3: `${TRACE}-${SPAN}-d` }, read],
    ["of single B3 that only decides", "b3", { b3: "0" }, { sampled: false }],
    ["not of broken B3", "b3", { b3: "x-y-z" }, undefined],
    ["not of no B3", "b3", {}, undefined],
  ])("%s", (_title, form, from, expected) => {
    expect(form === "b3" ? readB3(headers(from)) : readW3c(headers(from))).toEqual(expected);
  });
});

describe("a context is written", () => {
  const context: TraceContext = { traceId: TRACE, spanId: SPAN, sampled: true, state: "a=b" };

  it("for W3C", () => {
    const made = headers({});
    writeW3c(made, context);
    expect(Object.fromEntries(made.all)).toEqual({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "a=b" });
    expect(readW3c(made)).toEqual(context);
  });

  it("for B3, and in the single form where the client spoke it", () => {
    const parent = "1".repeat(16);
    const many = headers({});
    writeB3(many, { ...context, sampled: false }, parent);
    expect(Object.fromEntries(many.all)).toEqual({
      "x-b3-traceid": TRACE,
      "x-b3-spanid": SPAN,
      "x-b3-parentspanid": parent,
      "x-b3-sampled": "0",
    });
    const single = headers({ b3: `${TRACE}-${parent}-1` });
    writeB3(single, context, parent);
    expect(single.get("b3")).toBe(`${TRACE}-${SPAN}-1-${parent}`);
  });
});

describe("sampling", () => {
  /** Its first digits are 5000 of 10,000, which is chance 50 %. */
  const HALF = "00001388-77b3-4da6-a3ce-929d0e0e4736";
  const spec = (client: number, random: number, overall: number): TracingSpec => ({
    provider: { kind: "zipkin", cluster: "c", authority: "a", path: "/", longTraceIds: true, sharedSpans: false },
    clientSampling: client,
    randomSampling: random,
    overallSampling: overall,
    maxPathLength: 256,
    customTags: [],
  });
  const facts = { requestId: HALF, clientTraceId: false, forced: false };
  const marked = (digit: string) => `00001388-77b3-${digit}da6-a3ce-929d0e0e4736`;

  it.each([
    ["by chance", facts, spec(100, 50.01, 100), "sampled", "9"],
    ["not by chance", facts, spec(100, 50, 100), "none", "4"],
    ["never", facts, spec(100, 0, 100), "none", "4"],
    ["at the client's wish", { ...facts, clientTraceId: true }, spec(100, 0, 100), "client", "b"],
    ["not at the wish of too many", { ...facts, clientTraceId: true }, spec(50, 0, 100), "none", "4"],
    ["when forced", { ...facts, forced: true }, spec(0, 0, 100), "forced", "a"],
    ["within the overall limit only", { ...facts, forced: true }, spec(100, 100, 50), "none", "4"],
    ["as an earlier proxy decided", { ...facts, requestId: marked("9") }, spec(0, 0, 100), "sampled", "9"],
    ["as an earlier proxy was forced", { ...facts, requestId: marked("a") }, spec(0, 0, 100), "forced", "a"],
    ["as an earlier proxy was asked", { ...facts, requestId: marked("b") }, spec(0, 0, 100), "client", "b"],
  ] as const)("%s", (_title, of, how, reason, digit) => {
    expect(sample(of, how)).toEqual({ reason, requestId: marked(digit) });
  });

  it("leaves an id that is no UUID alone", () => {
    expect(sample({ ...facts, requestId: "mine" }, spec(100, 100, 100))).toEqual({ reason: "none", requestId: "mine" });
  });
});
