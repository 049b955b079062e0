import { BufferPerRoute, Buffer as BufferProto } from "@lateen/proto/envoy/extensions/filters/http/buffer/v3/buffer";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { bufferRuntime } from "./buffer.ts";
import { BUFFER } from "./config.ts";
import { decodeBuffer, decodeBufferPerRoute } from "./decode.ts";

const own = (maxRequestBytes?: number) =>
  decodeBuffer(BufferProto.encode(BufferProto.fromPartial({ maxRequestBytes })).finish());
const ofRoute = (message: Parameters<typeof BufferPerRoute.fromPartial>[0]) =>
  decodeBufferPerRoute(BufferPerRoute.encode(BufferPerRoute.fromPartial(message)).finish());

function run(body: string, complete = true, route?: unknown) {
  const { context } = fakeContext("inbound", undefined, BUFFER);
  const exchange = new FakeExchange({ method: "POST" });
  exchange.body = { bytes: Buffer.from(body), complete };
  if (route !== undefined) exchange.configs[BUFFER] = route;
  const verdict = bufferRuntime.create(own(4), context).onRequestHead?.(exchange);
  return { verdict, exchange };
}

describe("buffer", () => {
  it.each([
    ["", true, 1, undefined],
    ["1234", true, 1, 4],
    ["12345", true, 0, undefined],
    ["12345", false, 0, undefined],
  ])("with %j (complete: %s) the request goes on %d times, with length %s", (body, complete, resumed, length) => {
    const { verdict, exchange } = run(body, complete);
    expect([verdict, exchange.resumed, exchange.requestLength]).toEqual(["wait", resumed, length]);
    expect(exchange.bodyLimits).toEqual([5]);
    const status = exchange.replies.map((reply) => [reply.status, reply.body, reply.details]);
    expect(status).toEqual(resumed === 1 ? [] : [[413, "Payload Too Large", "request_payload_too_large"]]);
  });

  it("a route may have a limit of its own, or none", () => {
    const wide = ofRoute({ override: { $case: "buffer", value: { maxRequestBytes: 100 } } });
    expect(run("12345", true, wide).exchange.resumed).toBe(1);
    const off = ofRoute({ override: { $case: "disabled", value: true } });
    expect(run("12345", true, off).verdict).toBe("continue");
  });

  it.each([undefined, 0])("refuses a limit of %s", (limit) => {
    expect(() => own(limit)).toThrow("max_request_bytes: must be greater than 0");
  });
  it("refuses a route that says nothing", () => {
    expect(() => ofRoute({})).toThrow("override: required");
  });
});
