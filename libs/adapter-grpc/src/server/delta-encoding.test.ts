import { gunzipSync } from "node:zlib";
import { systemClock } from "@lateen/kernel";
import { DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { describe, expect, it } from "vitest";
import { DeltaEncoder, type EncodedResponse } from "./delta-encoding.ts";

const resource = (name: string, bytes: number, version = "1") => ({
  name,
  version,
  aliases: [],
  resource: { typeUrl: "t", value: Buffer.alloc(bytes, name) },
});
const response = (...resources: readonly ReturnType<typeof resource>[]) =>
  DeltaDiscoveryResponse.fromPartial({
    nonce: "7",
    typeUrl: "t",
    removedResources: ["gone"],
    resources: [...resources],
  });

const bytesOf = ({ pieces, compressed }: EncodedResponse) =>
  compressed ? gunzipSync(Buffer.concat(pieces)) : Buffer.concat(pieces);

it.each([
  ["nothing", response()],
  ["short resources", response(resource("a", 1), resource("b", 200))],
  ["long ones", response(resource("a", 70_000), resource("b", 300_000))],
])("decodes to what was encoded: %s", (_title, sent) => {
  const encoder = new DeltaEncoder(systemClock());
  for (let round = 0; round < 2; round++) {
    expect(DeltaDiscoveryResponse.decode(bytesOf(encoder.encode(sent)))).toEqual(sent);
  }
});

it("encodes a resource anew under another version", () => {
  const encoder = new DeltaEncoder(systemClock());
  const first = resource("a", 10);
  encoder.encode(response(first));
  const sent = response({ ...first, version: "2" });
  expect(DeltaDiscoveryResponse.decode(bytesOf(encoder.encode(sent)))).toEqual(sent);
});

it("shares the bytes of a list that comes again, keeps few of them, and none for long", () => {
  const timers: (() => void)[] = [];
  let now = 0;
  const clock = {
    now: () => now,
    monotonic: () => now,
    after: (_ms: number, run: () => void) => {
      timers.push(run);
      return () => {};
    },
    every: () => () => {},
  };
  const encoder = new DeltaEncoder(clock);
  const sent = response(resource("a", 70_000));
  const [first, second, third] = [1, 2, 3].map((nonce) => encoder.encode({ ...sent, nonce: `${nonce}` }).pieces);
  expect(second?.[0]).not.toBe(first?.[0]);
  expect(third?.[0]).toBe(second?.[0]);
  for (let list = 0; list < 30; list++) {
    const other = response(resource(`${list}`, 1_000_000));
    for (let round = 0; round < 2; round++) encoder.encode(other);
  }
  expect(encoder.kept).toBeGreaterThan(10_000_000);
  expect(encoder.kept).toBeLessThanOrEqual(16 * 1024 * 1024);
  now = 10_000;
  for (const run of timers.splice(0)) run();
  expect(encoder.kept).toBe(0);
});

it("encodes resources with fields that travel rarely", () => {
  const odd = { ...resource("ä", 10), aliases: ["b"], ttl: { seconds: 5n, nanos: 0 } };
  const bare = { name: "", version: "", aliases: [] };
  const sent = DeltaDiscoveryResponse.fromPartial({
    nonce: "1",
    typeUrl: "t",
    resources: [odd, bare, resource("ü", 0)],
  });
  const encoded = bytesOf(new DeltaEncoder(systemClock()).encode(sent));
  expect(DeltaDiscoveryResponse.decode(encoded)).toEqual(sent);
});

describe("for clients that take gzip", () => {
  const sent = response(resource("a", 70_000), resource("b", 70_000));

  it("compresses once what comes again, and both kinds of clients can read it", () => {
    const encoder = new DeltaEncoder(systemClock());
    const results = [true, true, false, true, false].map((gzip, nonce) => {
      const one = { ...sent, nonce: `${nonce}` };
      const encoded = encoder.encode(one, gzip);
      expect(DeltaDiscoveryResponse.decode(bytesOf(encoded))).toEqual(one);
      return encoded;
    });
    expect(results.map(({ compressed }) => compressed)).toEqual([false, true, false, true, false]);
    expect(results[3]?.pieces[1]).toBe(results[1]?.pieces[1]);
    expect(results[4]?.pieces[0]).toBe(results[2]?.pieces[0]);
    expect(results[1]?.pieces.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(2000);
  });

  it.each([
    ["secrets", "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", 70_000],
    ["what is short", "t", 100],
  ])("does not compress %s", (_title, typeUrl, bytes) => {
    const encoder = new DeltaEncoder(systemClock());
    const one = { ...response(resource("a", bytes)), typeUrl };
    for (let round = 0; round < 3; round++) {
      const encoded = encoder.encode(one, true);
      expect(encoded.compressed).toBe(false);
      expect(DeltaDiscoveryResponse.decode(bytesOf(encoded))).toEqual(one);
    }
  });
});
