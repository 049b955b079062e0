import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  clusterSpec,
  forwardTo,
  hostSpec,
  type Rig,
  type RigOptions,
  routeSpec,
  startRig,
} from "../router/testing/rig.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const same = (bytes: Buffer): Buffer => bytes;
const method = (path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
const SERVICE = {
  unary: method("/test.Echo/Unary", false, false),
  fail: method("/test.Echo/Fail", false, false),
  never: method("/test.Echo/Never", false, false),
  count: method("/test.Echo/Count", false, true),
  chat: method("/test.Echo/Chat", true, true),
};

interface Backend {
  readonly port: number;
  readonly seen: Metadata[];
  readonly cancelled: Promise<void>;
}

async function backend(): Promise<Backend> {
  const server = new Server();
  const seen: Metadata[] = [];
  let onCancelled = (): void => {};
  const cancelled = new Promise<void>((resolve) => {
    onCancelled = resolve;
  });
  server.addService(SERVICE, {
    unary(call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
      seen.push(call.metadata);
      const trailer = new Metadata();
      trailer.set("x-trailer", "t");
      callback(null, call.request, trailer);
    },
    fail(_: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
      callback({ code: status.FAILED_PRECONDITION, details: "not yet: 100%" });
    },
    never(call: ServerUnaryCall<Buffer, Buffer>) {
      seen.push(call.metadata);
      call.on("cancelled", onCancelled);
    },
    count(call: ServerWritableStream<Buffer, Buffer>) {
      for (let i = 0; i < 1000; i++) call.write(Buffer.from(`${i}`));
      call.end();
    },
    chat(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on("data", (message: Buffer) => call.write(message));
      call.on("end", () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  cleanups.push(() => server.forceShutdown());
  return { port, seen, cancelled };
}

async function proxyTo(port: number, options: Partial<RigOptions> = {}): Promise<Rig> {
  const rig = await startRig({
    hosts: [
      hostSpec(["*"], [routeSpec("/test.Echo/", forwardTo("backend", { grpcTimeout: { maxMs: 0, offsetMs: 0 } }))]),
    ],
    clusters: [clusterSpec("backend", [port], { protocol: "http2" })],
    ...options,
  });
  cleanups.push(() => rig.close());
  return rig;
}

function clientOf(port: number): Client {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  cleanups.push(() => client.close());
  return client;
}

function unary(client: Client, path: string, message: Buffer, deadline?: number): Promise<Buffer | ServiceError> {
  return new Promise((resolve) => {
    const options = deadline === undefined ? {} : { deadline: Date.now() + deadline };
    client.makeUnaryRequest(path, same, same, message, new Metadata(), options, (error, answer) =>
      resolve(error ?? answer ?? Buffer.alloc(0)),
    );
  });
}

describe("gRPC through the proxy", () => {
  it("carries unary calls with metadata and trailers, many at a time", async () => {
    const { port, seen } = await backend();
    const client = clientOf((await proxyTo(port)).port);
    const calls = Array.from({ length: 50 }, (_, i) => unary(client, "/test.Echo/Unary", Buffer.from(`call ${i}`)));
    expect((await Promise.all(calls)).map(String)).toEqual(Array.from({ length: 50 }, (_, i) => `call ${i}`));
    expect(seen[0]?.get("x-request-id")).toHaveLength(1);
  });

  it("carries large messages both ways", async () => {
    const client = clientOf((await proxyTo((await backend()).port)).port);
    const message = Buffer.alloc(3_000_000, "abc");
    const answer = await unary(client, "/test.Echo/Unary", message);
    expect(Buffer.isBuffer(answer) && answer.equals(message)).toBe(true);
  });

  it("carries a server's status and message", async () => {
    const client = clientOf((await proxyTo((await backend()).port)).port);
    expect(await unary(client, "/test.Echo/Fail", Buffer.alloc(0))).toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: "not yet: 100%",
    });
  });

  it("carries a stream of the server", async () => {
    const client = clientOf((await proxyTo((await backend()).port)).port);
    const received: string[] = [];
    const call = client.makeServerStreamRequest("/test.Echo/Count", same, same, Buffer.alloc(0));
    await new Promise((resolve, reject) => {
      call.on("data", (message: Buffer) => received.push(message.toString()));
      call.on("error", reject);
      call.on("end", resolve);
    });
    expect(received).toEqual(Array.from({ length: 1000 }, (_, i) => `${i}`));
  });

  it("carries a conversation message by message", async () => {
    const client = clientOf((await proxyTo((await backend()).port)).port);
    const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest("/test.Echo/Chat", same, same);
    for (let i = 0; i < 20; i++) {
      const answer = new Promise<string>((resolve) => {
        call.once("data", (message: Buffer) => resolve(message.toString()));
      });
      call.write(Buffer.from(`message ${i}`));
      expect(await answer).toBe(`message ${i}`);
    }
    const ended = new Promise((resolve) => {
      call.on("status", resolve);
    });
    call.end();
    expect(await ended).toMatchObject({ code: status.OK });
  });

  it("passes a cancellation on", async () => {
    const { port, seen, cancelled } = await backend();
    const client = clientOf((await proxyTo(port)).port);
    const { promise: failure, resolve } = Promise.withResolvers<ServiceError | null>();
    const call = client.makeUnaryRequest("/test.Echo/Never", same, same, Buffer.alloc(0), resolve);
    // What the server has not heard of it cannot see cancelled.
    await vi.waitUntil(() => seen.length === 1, { timeout: 4_000, interval: 10 });
    call.cancel();
    expect((await failure)?.code).toBe(status.CANCELLED);
    await cancelled;
  });

  it("ends a call whose own deadline passes, and tells the server how long it has", async () => {
    const { port, seen } = await backend();
    const client = clientOf((await proxyTo(port)).port);
    const error = await unary(client, "/test.Echo/Never", Buffer.alloc(0), 150);
    expect([status.DEADLINE_EXCEEDED, status.UNAVAILABLE]).toContain((error as ServiceError).code);
    expect(seen).toHaveLength(1);
  });
});

describe("what the proxy itself tells a gRPC client", () => {
  it.each([
    ["no route", "/other.Service/Call", status.UNIMPLEMENTED, ""],
    [
      "an endpoint that is not there",
      "/test.Echo/Unary",
      status.UNAVAILABLE,
      "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
    ],
  ])("%s", async (_title, path, code, details) => {
    const client = clientOf((await proxyTo(1)).port);
    const error = (await unary(client, path, Buffer.alloc(0))) as ServiceError;
    expect(error.code).toBe(code);
    expect(error.details).toContain(details);
  });

  it("no healthy endpoint", async () => {
    const proxy = await proxyTo(1, { clusters: [clusterSpec("backend", [], { protocol: "http2" })] });
    const error = await unary(clientOf(proxy.port), "/test.Echo/Unary", Buffer.alloc(0));
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: "no healthy upstream" });
  });

  it("counts and logs the status of calls", async () => {
    const json = {
      kind: "json",
      fields: { code: "%RESPONSE_CODE%", protocol: "%PROTOCOL%", grpc: "%GRPC_STATUS%" },
    } as const;
    const proxy = await proxyTo((await backend()).port, {
      spec: { accessLogs: [{ kind: "file", path: "/dev/stdout", format: json }] },
    });
    const client = clientOf(proxy.port);
    await unary(client, "/test.Echo/Unary", Buffer.alloc(0));
    await unary(client, "/test.Echo/Fail", Buffer.alloc(0));
    const lines = proxy
      .logText()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toEqual([
      { code: 200, protocol: "HTTP/2", grpc: "OK" },
      { code: 200, protocol: "HTTP/2", grpc: "FailedPrecondition" },
    ]);
  });
});
