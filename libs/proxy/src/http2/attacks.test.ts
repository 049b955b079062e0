import { afterEach, describe, expect, it } from "vitest";
import { type Stage, stage } from "../router/testing/fixtures.ts";
import type { Rig, RigOptions } from "../router/testing/rig.ts";
import { response } from "../router/testing/wire.ts";
import { frame, literal, RawClient, request } from "./testing/raw-client.ts";

const CALM = 11;
const clients: RawClient[] = [];
const scene: Stage = stage(afterEach);
afterEach(() => {
  for (const client of clients.splice(0)) client.socket.destroy();
});

async function victim(options: Partial<RigOptions> = {}): Promise<Rig> {
  const origin = await scene.origin((peer) => peer.send(response("200 OK", "hello")));
  return scene.forwarding(origin, options);
}

function attacker(port: number): RawClient {
  const client = new RawClient(port);
  clients.push(client);
  return client;
}

/** The proxy still serves others. */
async function served(port: number): Promise<boolean> {
  const client = attacker(port);
  client.send(1, 5, 1, request());
  return (await client.until(({ type, id }) => type === 0 && id === 1)) !== undefined;
}

const repeat = (count: number, make: (i: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));

describe("floods end with GOAWAY ENHANCE_YOUR_CALM", () => {
  it.each<[string, Buffer]>([
    [
      "rapid reset",
      repeat(5000, (i) =>
        Buffer.concat([frame(1, 5, i * 2 + 1, request()), frame(3, 0, i * 2 + 1, Buffer.from([0, 0, 0, 8]))]),
      ),
    ],
    ["PING", repeat(5000, () => frame(6, 0, 0, Buffer.alloc(8)))],
    ["SETTINGS", repeat(5000, () => frame(4, 0, 0))],
    ["PRIORITY", repeat(5000, (i) => frame(2, 0, (i * 2 + 1) & 0xffff, Buffer.from([0, 0, 0, 0, 1])))],
    ["empty DATA", Buffer.concat([frame(1, 4, 1, request([], 0x83)), repeat(5000, () => frame(0, 0, 1))])],
    ["WINDOW_UPDATE", repeat(5000, () => frame(8, 0, 0, Buffer.from([0, 0, 0, 1])))],
    ["unknown frames", repeat(5000, () => frame(200, 0, 0))],
    ["malformed requests", repeat(5000, (i) => frame(1, 5, i * 2 + 1, request([["Upper", "case"]])))],
    ["streams beyond the limit", repeat(5000, (i) => frame(1, 4, i * 2 + 1, request([], 0x83)))],
    [
      "endless CONTINUATION",
      Buffer.concat([
        frame(1, 1, 1, request()),
        repeat(5000, (i) => frame(9, 0, 1, literal(`x-${i}`, "y".repeat(100)))),
      ]),
    ],
    ["empty CONTINUATION", Buffer.concat([frame(1, 1, 1, request()), repeat(5000, () => frame(9, 0, 1))])],
  ])("%s", async (_title, bytes) => {
    const proxy = await victim({ spec: { maxConcurrentStreams: 20 } });
    const client = attacker(proxy.port);
    client.raw(bytes);
    expect(await client.goaway()).toBe(CALM);
    expect(await served(proxy.port)).toBe(true);
  });
});

describe("streams that are reset", () => {
  const CANCEL = Buffer.from([0, 0, 0, 8]);
  const opening = (i: number) => frame(1, 5, i * 2 + 1, request());
  const reset = (i: number) => frame(3, 0, i * 2 + 1, CANCEL);

  it("in the very read that opened them are not taken for requests for long", async () => {
    const proxy = await victim();
    const client = attacker(proxy.port);
    client.raw(repeat(300, (i) => Buffer.concat([opening(i), reset(i)])));
    expect(await client.goaway()).toBe(CALM);
    expect(await served(proxy.port)).toBe(true);
  });

  it("while they wait for their answers are what callers do who lose patience", async () => {
    const silent = await scene.origin(() => {});
    const proxy = await scene.forwarding(silent, {});
    const client = attacker(proxy.port);
    for (let round = 0; round < 4; round++) {
      client.raw(Buffer.concat([repeat(60, (i) => opening(60 * round + i)), frame(6, 0, 0, Buffer.alloc(8, round))]));
      await client.until(({ type, payload }) => type === 6 && payload[0] === round);
      client.raw(repeat(60, (i) => reset(60 * round + i)));
    }
    client.raw(frame(6, 0, 0, Buffer.alloc(8, 9)));
    expect(await client.until(({ type, payload }) => type === 6 && payload[0] === 9)).toBeDefined();
  });
});

describe("heads", () => {
  it("that unfold beyond the limit are answered with 431, and the connection goes on", async () => {
    const proxy = await victim();
    const client = attacker(proxy.port);
    // One entry of 4 KB in the table, then a thousand references of one byte.
    client.send(
      1,
      5,
      1,
      Buffer.concat([request(), literal("x-big", "y".repeat(4000), true), Buffer.alloc(1000, 0xbe)]),
    );
    const answer = await client.until(({ type, id }) => type === 1 && id === 1);
    expect(answer?.payload.toString("latin1")).toContain("431");
    client.send(1, 5, 3, request());
    expect(await client.until(({ type, id }) => type === 0 && id === 3)).toBeDefined();
  });

  it("of more than a hundred fields are answered with 431", async () => {
    const proxy = await victim();
    const client = attacker(proxy.port);
    client.send(1, 5, 1, request(Array.from({ length: 120 }, (_, i) => [`x-${i}`, "y"] as const)));
    const answer = await client.until(({ type, id }) => type === 1 && id === 1);
    expect(answer?.payload.toString("latin1")).toContain("431");
  });

  it("that fill memory by references are bounded by connection", async () => {
    const proxy = await victim({ spec: { maxConcurrentStreams: 1024 } });
    const client = attacker(proxy.port);
    const large = Buffer.concat([request([], 0x83), literal("x-big", "y".repeat(3900), true), Buffer.alloc(12, 0xbe)]);
    client.send(1, 4, 1, large);
    client.raw(repeat(200, (i) => frame(1, 4, i * 2 + 3, Buffer.concat([request([], 0x83), Buffer.alloc(13, 0xbe)]))));
    // REFUSED_STREAM long before 200 × 50 KB are held.
    const refused = await client.until(({ type, payload }) => type === 3 && payload.readUInt32BE(0) === 7);
    expect(refused?.id).toBeLessThan(15);
  });

  it("that were sent in full may be held, up to a megabyte", async () => {
    const proxy = await victim({ spec: { maxConcurrentStreams: 1024 } });
    const client = attacker(proxy.port);
    // Nothing of it goes into the table.
    const large = Buffer.concat([request([], 0x83), literal("x-big", "y".repeat(12_000))]);
    for (let i = 0; i < 120; i++) client.send(1, 4, i * 2 + 1, large);
    const refused = await client.until(({ type, payload }) => type === 3 && payload.readUInt32BE(0) === 7);
    expect(refused?.id).toBeGreaterThan(2 * 80);
  });

  it.each<[string, readonly (readonly [string, string])[]]>([
    ["a line end in a value", [["x-a", "b\r\nx-c: d"]]],
    ["NUL in a value", [["x-a", "b\0c"]]],
    ["white space around a value", [["x-a", " b"]]],
    ["a space in a name", [["x a", "b"]]],
    ["an upper-case name", [["X-A", "b"]]],
    ["a header of a connection", [["connection", "close"]]],
    ["transfer-encoding", [["transfer-encoding", "chunked"]]],
    ["te other than trailers", [["te", "gzip"]]],
    [
      "two content-lengths",
      [
        ["content-length", "0"],
        ["content-length", "0"],
      ],
    ],
    ["a signed content-length", [["content-length", "+0"]]],
    ["content-length without content", [["content-length", "5"]]],
    ["a host that differs from the authority", [["host", "other"]]],
    ["an unknown pseudo header", [[":cookie", "a"]]],
    [
      "a pseudo header behind others",
      [
        ["x-a", "b"],
        [":authority", "c"],
      ],
    ],
    ["a second path", [[":path", "/b"]]],
  ])("with %s reset their stream and reach nobody", async (_title, fields) => {
    const proxy = await victim();
    const client = attacker(proxy.port);
    client.send(1, 5, 1, request(fields));
    expect(await client.reset(1)).toBe(1);
    expect(proxy.cluster("backend").connections).toBe(0);
  });

  it.each([
    ["a fragment", "/a#b"],
    ["a space", "/a b"],
    ["an absolute URI", "http://other/"],
    ["nothing", ""],
  ])("whose path is or has %s reset their stream", async (_title, path) => {
    const proxy = await victim();
    const client = attacker(proxy.port);
    const head = Buffer.concat([
      Buffer.from([0x82, 0x86, 0x04, path.length]),
      Buffer.from(path),
      literal(":authority", "shop"),
    ]);
    client.send(1, 5, 1, head);
    expect(await client.reset(1)).toBe(1);
  });
});

describe("bodies", () => {
  it("beyond the window of a stream that nobody empties reset it", async () => {
    const origin = await scene.origin();
    const proxy = await scene.forwarding(origin);
    const client = attacker(proxy.port);
    client.send(1, 4, 1, request([], 0x83));
    // The origin reads nothing: after its socket buffers are full no window is given back.
    (await origin.connection(0)).socket.pause();
    const chunk = frame(0, 0, 1, Buffer.alloc(16_384));
    const gone = client.until(({ type }) => type === 3 || type === 7);
    for (let i = 0; i < 2000 && client.frames.every(({ type }) => type !== 3 && type !== 7); i++) {
      client.raw(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await gone)?.payload.readUInt32BE(0)).toBe(3);
  });

  it("shorter than their content-length reset the stream", async () => {
    const proxy = await victim();
    const client = attacker(proxy.port);
    client.send(1, 4, 1, request([["content-length", "10"]], 0x83));
    client.send(0, 1, 1, Buffer.from("short"));
    expect(await client.reset(1)).toBe(1);
  });
});

it("a client that asks and never reads loses its connection, not the proxy its memory", async () => {
  const origin = await scene.origin((peer) => peer.send(response("200 OK", "x".repeat(60_000))));
  const proxy = await scene.forwarding(origin);
  const client = attacker(proxy.port);
  client.socket.pause();
  const before = process.memoryUsage().rss;
  for (let round = 0; round < 300 && !client.closed; round++) {
    client.raw(repeat(100, () => frame(6, 0, 0, Buffer.alloc(8))));
    client.send(1, 5, round * 2 + 1, request());
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.socket.resume();
  await client.end();
  expect(process.memoryUsage().rss - before).toBeLessThan(60_000_000);
  expect(await served(proxy.port)).toBe(true);
});

it("a client that ends within a request is waited for no longer; what it asked before is answered", async () => {
  const proxy = await victim();
  const client = attacker(proxy.port);
  client.send(1, 5, 1, request());
  client.send(1, 4, 3, request([], 0x83));
  client.send(1, 0, 5, request());
  client.socket.end();
  await client.end();
  expect(client.frames.some(({ type, id }) => type === 0 && id === 1)).toBe(true);
  expect(client.frames.some(({ type, id }) => type === 1 && id === 3)).toBe(false);
});
