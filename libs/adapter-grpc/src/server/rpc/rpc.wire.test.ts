import { connect, constants } from "node:http2";
import { gzipSync } from "node:zlib";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { silentLogger } from "@lateen/kernel";
import { createTestCa } from "@lateen/test-support";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type GrpcServer, serveGrpc } from "../serve.ts";
import type { RpcCall } from "./call.ts";
import { timeoutOf } from "./call.ts";
import { encodeStatusText } from "./failure.ts";

// On a machine that builds at the same time.
vi.setConfig({ testTimeout: 60_000 });

const SERVER_NAME = "istiod.istio-system.svc";
const ca = createTestCa();
const bytes = (value: Buffer) => value;
const codecs = {
  requestSerialize: bytes,
  requestDeserialize: (value: Buffer) => {
    if (value.toString() === "garbage") throw new Error("cannot be read");
    return value;
  },
  responseSerialize: bytes,
  responseDeserialize: bytes,
};
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test/${name}`,
  requestStream,
  responseStream,
  ...codecs,
});

/** What handlers noticed, and what they do next. */
let seen: string[] = [];
let onBidi: (call: RpcCall) => void = () => {};
const implementation = {
  unary: (call: RpcCall, reply: (error: unknown, value?: Buffer) => void) => reply(null, call.request as Buffer),
  collect: (call: RpcCall, reply: (error: unknown, value?: Buffer) => void) => {
    const parts: Buffer[] = [];
    call.on("data", (part: Buffer) => parts.push(part));
    call.on("end", () => reply(null, Buffer.concat(parts)));
  },
  many: (call: RpcCall) => {
    for (const byte of call.request as Buffer) call.write(Buffer.from([byte]));
    call.end();
  },
  never: () => {},
  throws: () => {
    throw new Error("a bug");
  },
  bidi: (call: RpcCall) => {
    call.on("cancelled", () => seen.push("cancelled"));
    call.on("close", () => seen.push("close"));
    onBidi(call);
  },
};
const definition = {
  unary: method("unary", false, false),
  collect: method("collect", true, false),
  many: method("many", false, true),
  never: method("never", false, false),
  throws: method("throws", true, true),
  bidi: method("bidi", true, true),
};

let server: GrpcServer;
let client: Client;
beforeAll(async () => {
  server = await serveGrpc({
    host: "127.0.0.1",
    port: 0,
    tls: { ...ca.issue({ dns: [SERVER_NAME] }), rootPem: ca.rootPem },
    services: [{ name: "test", definition, implementation: implementation as never }],
    logger: silentLogger,
    limits: { receiveBytes: 1_000_000 },
  });
  client = new Client(`127.0.0.1:${server.port}`, credentials.createSsl(Buffer.from(ca.rootPem)), {
    "grpc.ssl_target_name_override": SERVER_NAME,
  });
});
afterAll(async () => {
  client.close();
  await server.close(0);
});
afterEach(() => {
  seen = [];
  onBidi = () => {};
});

function unary(path: string, body: Buffer, options = {}): Promise<string> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, bytes, bytes, body, new Metadata(), options, (error, value) =>
      resolve(error === null ? String(value) : `${error.code} ${error.details}`),
    );
  });
}

function bidi() {
  const call = client.makeBidiStreamRequest("/test/bidi", bytes, bytes);
  const ended = new Promise<string>((resolve) => {
    call.on("error", () => {});
    call.on("status", ({ code, details }) => resolve(`${code} ${details}`));
  });
  return { call, ended };
}

/** Waits for what a handler notices. */
async function noticed(text: string): Promise<void> {
  while (!seen.includes(text)) await new Promise((resolve) => setImmediate(resolve));
}

describe("gRPC calls", () => {
  it("of each kind are answered", async () => {
    expect(await unary("/test/unary", Buffer.from("hello"))).toBe("hello");
    const collected = new Promise((resolve) => {
      const call = client.makeClientStreamRequest("/test/collect", bytes, bytes, (_error, value) =>
        resolve(`${value}`),
      );
      for (const part of ["a", "b", "c"]) call.write(Buffer.from(part));
      call.end();
    });
    expect(await collected).toBe("abc");
    const call = client.makeServerStreamRequest("/test/many", bytes, bytes, Buffer.from("xyz"));
    const got: string[] = [];
    for await (const part of call) got.push(String(part));
    expect(got).toEqual(["x", "y", "z"]);
  });

  it("of many messages arrive whole and in order, in both directions", async () => {
    onBidi = (call) => {
      call.on("data", (message: Buffer) => call.write(message));
      call.on("end", () => call.end());
    };
    const { call, ended } = bidi();
    const sizes = [0, 1, 70_000, 5, 900_000, 3];
    const got: number[] = [];
    call.on("data", (message: Buffer) => got.push(message.length));
    for (const [at, size] of sizes.entries()) call.write(Buffer.alloc(size, at));
    call.end();
    expect(await ended).toBe(`${status.OK} `);
    expect(got).toEqual(sizes);
  });

  it.each([
    ["of unknown methods", "/test/unknown", "x", {}, `${status.UNIMPLEMENTED} no such method`],
    ["with too large a message", "/test/unary", "x".repeat(1_000_001), {}, `${status.RESOURCE_EXHAUSTED} a message is`],
    ["that cannot be read", "/test/unary", "garbage", {}, `${status.INTERNAL} a message cannot be read`],
  ])("%s end with a status", async (_title, path, body, options, expected) => {
    expect(await unary(path, Buffer.from(body), options)).toContain(expected);
  });

  it("end at their deadline, also when the handler never answers", async () => {
    expect(await unary("/test/never", Buffer.from("x"), { deadline: Date.now() + 50 })).toContain("4 ");
  });

  it("whose handler throws end with INTERNAL, and the connection lives", async () => {
    const call = client.makeBidiStreamRequest("/test/throws", bytes, bytes);
    const ended = new Promise((resolve) => call.on("error", (error) => resolve((error as { code?: number }).code)));
    expect(await ended).toBe(status.INTERNAL);
    expect(await unary("/test/unary", Buffer.from("still here"))).toBe("still here");
  });

  it("that a handler ends with a status carry its code and text, after what was written", async () => {
    onBidi = (call) => {
      call.write(Buffer.from("first"));
      call.emit("error", { code: status.PERMISSION_DENIED, details: "nicht für dich – 100 %" });
    };
    const { call, ended } = bidi();
    const got: string[] = [];
    call.on("data", (message) => got.push(String(message)));
    expect(await ended).toBe(`${status.PERMISSION_DENIED} nicht für dich – 100 %`);
    expect(got).toEqual(["first"]);
    await noticed("close");
    expect(seen).toEqual(["close"]);
  });

  it("carry compressed messages to clients that take them, among others", async () => {
    const message = Buffer.from("again and again ".repeat(1000));
    onBidi = (call) => {
      seen.push(`gzip ${call.useGzip()}`);
      call.writePieces([gzipSync(message)], () => {}, true);
      call.writePieces([message], () => {});
      call.end();
    };
    const { call, ended } = bidi();
    const got: string[] = [];
    call.on("data", (one) => got.push(String(one)));
    expect(await ended).toBe(`${status.OK} `);
    expect(got).toEqual([`${message}`, `${message}`]);
    expect(seen).toContain("gzip true");
  });

  it.each([
    [undefined, false],
    ["identity", false],
    ["identity,gzip,deflate", true],
    ["gzip", true],
    ["x-gzip", false],
  ])("whose client takes %s may be compressed: %s", async (accepted, expected) => {
    onBidi = (call) => {
      seen.push(`gzip ${call.useGzip()}`);
      call.end();
    };
    const { session, head } = raw();
    const headers = accepted === undefined ? {} : { "grpc-accept-encoding": accepted };
    await head({ "content-type": "application/grpc", ...headers });
    session.destroy();
    expect(seen).toContain(`gzip ${expected}`);
  });

  it("tell their handler when the client goes away", async () => {
    onBidi = (call) => call.write(Buffer.from("hello"));
    const { call } = bidi();
    await new Promise((resolve) => call.once("data", resolve));
    call.cancel();
    await noticed("close");
    expect(seen).toEqual(["cancelled", "close"]);
  });
});

/** A connection below gRPC. */
function raw() {
  const session = connect(`https://127.0.0.1:${server.port}`, { ca: ca.rootPem, servername: SERVER_NAME });
  const head = (headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve) => {
      const stream = session.request({ ":method": "POST", ":path": "/test/bidi", ...headers });
      stream.on("response", (response) => resolve(response[":status"]));
      stream.on("error", () => {});
      stream.resume();
      stream.end();
    });
  return { session, head };
}

describe("the gRPC server", () => {
  it("refuses requests that are no gRPC", async () => {
    const { session, head } = raw();
    expect(await head({ "content-type": "text/plain" })).toBe(415);
    expect(await head({ "content-type": "application/grpc", ":method": "GET" })).toBe(405);
    session.destroy();
  });

  it("keeps for a reader that does not read no more than one piece of a message at the network", async () => {
    const message = Buffer.alloc(900_000);
    const done: number[] = [];
    let written = 0;
    const started = Promise.withResolvers<RpcCall>();
    onBidi = (call) => {
      for (let count = 0; count < 3; count++) call.write(message, () => done.push(count));
      started.resolve(call);
    };
    const session = connect(`https://127.0.0.1:${server.port}`, {
      ca: ca.rootPem,
      servername: SERVER_NAME,
      settings: { initialWindowSize: 65_535 },
    });
    const stream = session.request({ ":method": "POST", ":path": "/test/bidi", "content-type": "application/grpc" });
    stream.pause();
    await started.promise;
    // Only as much as the window allows has left, whatever time passes: a ping is answered after it.
    await new Promise((resolve) => session.ping(resolve));
    await new Promise((resolve) => session.ping(resolve));
    expect(done).toEqual([]);
    stream.on("data", (chunk: Buffer) => {
      written += chunk.length;
    });
    stream.resume();
    while (done.length < 3) await new Promise((resolve) => setImmediate(resolve));
    while (written < 3 * (message.length + 5)) await new Promise((resolve) => setImmediate(resolve));
    expect(done).toEqual([0, 1, 2]);
    stream.close(constants.NGHTTP2_CANCEL);
    session.destroy();
  });
});

it.each([
  ["1S", 1000],
  ["20m", 20],
  ["2H", 7_200_000],
  ["5000u", 5],
  ["99999999H", undefined],
  ["123456789S", undefined],
  ["S", undefined],
  [undefined, undefined],
])("reads the timeout %s as %s ms", (header, ms) => expect(timeoutOf(header)).toBe(ms));

it.each([
  ["plain text ~", "plain text ~"],
  ["100 %", "100 %25"],
  ["zeile\nä", "zeile%0A%C3%A4"],
  ["\ud800", "%EF%BF%BD"],
])("writes the status text %j as %j", (text, expected) => expect(encodeStatusText(text)).toBe(expected));
