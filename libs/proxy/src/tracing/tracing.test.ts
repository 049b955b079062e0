import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { eventually } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import { stage } from "../router/testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, type RigOptions, routeSpec } from "../router/testing/rig.ts";
import { type Peer, response } from "../router/testing/wire.ts";
import { MAX_WAITING, SpanExporter } from "./exporter.ts";
import type { TracingProviderSpec, TracingSpec } from "./spec.ts";

const { exchange, origin, rig } = stage(afterEach);
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const ZIPKIN: TracingProviderSpec = {
  kind: "zipkin",
  cluster: "collector",
  authority: "zipkin.test",
  path: "/api/v2/spans",
  longTraceIds: true,
  sharedSpans: false,
};
const OTLP: TracingProviderSpec = {
  kind: "otlp",
  cluster: "collector",
  authority: "otel.test",
  serviceName: "web.default",
  http: { path: "/v1/traces", headers: [["x-key", "secret"]] },
  timeoutMs: 5000,
};

function tracing(provider: TracingProviderSpec, overrides: Partial<TracingSpec> = {}): TracingSpec {
  return {
    provider,
    clientSampling: 100,
    randomSampling: 100,
    overallSampling: 100,
    maxPathLength: 8,
    customTags: [],
    ...overrides,
  };
}

interface Posted {
  readonly path: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

/** A collector with sockets of its own; `answer` decides what it says. */
async function collector(answer: (response: ServerResponse) => void = (to) => to.writeHead(202).end()) {
  const posted: Posted[] = [];
  const server: Server = createServer((request: IncomingMessage, to: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      posted.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks) });
      answer(to);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, posted };
}

/** A proxy before an application that answers with what it was asked. */
async function traced(port: number, spec: TracingSpec, overrides: Partial<RigOptions> = {}, http2 = false) {
  const app = await origin((peer: Peer, message: string) => peer.send(response("200 OK", message)));
  const collectors = clusterSpec("collector", [port], http2 ? { protocol: "http2" } : {});
  const proxy = await rig({
    hosts: [hostSpec(["shop"], [routeSpec("/", forwardTo("app"), { decorator: "shop:80/*" })])],
    clusters: [clusterSpec("app", [app.port]), collectors],
    spec: { tracing: spec },
    ...overrides,
  });
  const count = (name: string, labels: Readonly<Record<string, string>>): number =>
    proxy.context.stats.values[proxy.context.stats.counter(name, { collector: "collector", ...labels })] ?? -1;
  const ask = (path = "/", lines = "") => exchange(proxy.port, `GET ${path} HTTP/1.1\r\nHost: shop\r\n${lines}\r\n`);
  return { ask, count, proxy };
}

const headerOf = (text: string, name: string): string | undefined =>
  new RegExp(`^${name}: *(.*?)\\r?$`, "im").exec(text)?.[1];

interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly kind: string;
  readonly name: string;
  readonly timestamp: number;
  readonly duration: number;
  readonly shared?: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly localEndpoint: { readonly serviceName: string };
}

async function spansAt(posted: readonly Posted[], count = 1): Promise<readonly ZipkinSpan[]> {
  return eventually("the spans are there", async () => {
    const spans = posted.flatMap(({ body }) => JSON.parse(body.toString()) as ZipkinSpan[]);
    return spans.length >= count ? spans : undefined;
  });
}

describe("Zipkin", () => {
  it("gets a client's span, and the next one its context", async () => {
    const { port, posted } = await collector();
    const { ask, count } = await traced(
      port,
      tracing(ZIPKIN, {
        customTags: [
          { tag: "team", kind: "literal", value: "mesh" },
          { tag: "user", kind: "header", name: "x-user", fallback: "nobody" },
          { tag: "where", kind: "environment", name: "LATEEN_NO_SUCH_VARIABLE", fallback: "here" },
          { tag: "claim", kind: "metadata", namespace: "jwt", path: ["sub"], fallback: "none" },
        ],
      }),
    );
    const echoed = await ask("/long/path?q", "x-user: J\u00c3\u00b6rg\r\nuser-agent: test\r\n");
    const [span] = await spansAt(posted);
    expect(span).toMatchObject({ kind: "CLIENT", name: "shop:80/*", localEndpoint: { serviceName: "web.default" } });
    expect(span?.parentId).toBeUndefined();
    expect(span?.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(headerOf(echoed, "x-b3-traceid")).toBe(span?.traceId);
    expect(headerOf(echoed, "x-b3-spanid")).toBe(span?.id);
    expect(headerOf(echoed, "x-b3-sampled")).toBe("1");
    expect(headerOf(echoed, "x-envoy-decorator-operation")).toBe("shop:80/*");
    const requestId = headerOf(echoed, "x-request-id") ?? "";
    expect(requestId[14]).toBe("9");
    expect(span?.tags).toMatchObject({
      team: "mesh",
      user: "Jörg",
      where: "here",
      claim: "none",
      component: "proxy",
      "guid:x-request-id": requestId,
      "http.url": "http://shop/long/pa",
      "http.method": "GET",
      "http.protocol": "HTTP/1.1",
      "http.status_code": "200",
      response_flags: "-",
      upstream_cluster: "app",
      user_agent: "test",
      "peer.address": "127.0.0.1",
    });
    expect(span?.tags.error).toBeUndefined();
    expect(Math.abs((span?.timestamp ?? 0) / 1000 - Date.now())).toBeLessThan(3_600_000);
    expect(span?.duration).toBeGreaterThan(0);
    expect(posted[0]).toMatchObject({
      path: "/api/v2/spans",
      headers: { host: "zipkin.test", "content-type": "application/json" },
    });
    await eventually("it is counted", async () =>
      count("lateen_tracing_spans_sent_total", {}) === 1 ? true : undefined,
    );
  });

  it("gets a server's span below that of its client", async () => {
    const { port, posted } = await collector();
    const { ask } = await traced(port, tracing(ZIPKIN), { direction: "inbound" });
    const echoed = await ask("/", `b3: ${TRACE}-${PARENT}-1\r\nx-envoy-decorator-operation: theirs\r\n`);
    const [span] = await spansAt(posted);
    expect(span).toMatchObject({ traceId: TRACE, parentId: PARENT, kind: "SERVER", name: "theirs" });
    expect(headerOf(echoed, "b3")).toBe(`${TRACE}-${span?.id}-1-${PARENT}`);
    expect(headerOf(echoed, "x-envoy-decorator-operation")).toBeUndefined();
  });

  it("gets the client's own span again where both share it", async () => {
    const { port, posted } = await collector();
    const { ask } = await traced(port, tracing({ ...ZIPKIN, sharedSpans: true }), { direction: "inbound" });
    await ask("/", `x-b3-traceid: ${TRACE}\r\nx-b3-spanid: ${PARENT}\r\nx-b3-sampled: 1\r\n`);
    expect((await spansAt(posted))[0]).toMatchObject({ traceId: TRACE, id: PARENT, shared: true });
  });

  it("is told of failures, and not of what a client said was not to be traced", async () => {
    const { port, posted } = await collector();
    const { ask } = await traced(port, tracing(ZIPKIN), {
      hosts: [hostSpec(["shop"], [routeSpec("/", { kind: "direct", status: 503, body: "" })])],
    });
    await ask("/silent", "x-b3-sampled: 0\r\n");
    await ask("/");
    const spans = await spansAt(posted);
    expect(spans.map(({ tags }) => tags["http.url"])).toEqual(["http://shop/"]);
    expect(spans[0]?.tags).toMatchObject({ error: "true", "http.status_code": "503" });
  });

  it("gets nothing that was not sampled, which is told on", async () => {
    const { port, posted } = await collector();
    const { ask } = await traced(port, tracing(ZIPKIN, { randomSampling: 0 }));
    const echoed = await ask("/a");
    expect(headerOf(echoed, "x-b3-sampled")).toBe("0");
    expect(headerOf(echoed, "x-request-id")?.[14]).toBe("4");
    await ask("/b", "x-client-trace-id: mine\r\n");
    const spans = await spansAt(posted);
    expect(spans.map(({ tags }) => [tags["http.url"], tags["guid:x-client-trace-id"]])).toEqual([
      ["http://shop/b", "mine"],
    ]);
  });
});

/** Fields of a protobuf message: numbers, and bytes. */
function fields(bytes: Buffer): readonly (readonly [number, Buffer | bigint])[] {
  const found: (readonly [number, Buffer | bigint])[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag % 8 === 0) found.push([Math.floor(tag / 8), BigInt(varint())]);
    else if (tag % 8 === 1) {
      found.push([Math.floor(tag / 8), bytes.readBigUInt64LE(at)]);
      at += 8;
    } else {
      const length = varint();
      found.push([Math.floor(tag / 8), bytes.subarray(at, at + length)]);
      at += length;
    }
  }
  return found;
}
const all = (bytes: Buffer, field: number): readonly Buffer[] =>
  fields(bytes).flatMap(([number, value]) => (number === field && Buffer.isBuffer(value) ? [value] : []));
const within = (bytes: Buffer, ...path: readonly number[]): Buffer =>
  path.reduce<Buffer>((message, field) => all(message, field)[0] ?? Buffer.alloc(0), bytes);

function otlpSpan(request: Buffer) {
  const span = within(request, 1, 2, 2);
  const attributes = Object.fromEntries(
    all(span, 9).map((pair) => [within(pair, 1).toString(), within(pair, 2, 1).toString()]),
  );
  return {
    service: [within(request, 1, 1, 1, 1).toString(), within(request, 1, 1, 1, 2, 1).toString()],
    traceId: within(span, 1).toString("hex"),
    spanId: within(span, 2).toString("hex"),
    state: within(span, 3).toString(),
    parentId: within(span, 4).toString("hex"),
    name: within(span, 5).toString(),
    numbers: Object.fromEntries(fields(span).filter(([, value]) => typeof value === "bigint")),
    attributes,
  };
}

describe("OpenTelemetry", () => {
  it("gets spans over HTTP, and the next one the context of W3C", async () => {
    const { port, posted } = await collector((to) => to.writeHead(200).end());
    const { ask } = await traced(port, tracing(OTLP), { direction: "inbound" });
    const echoed = await ask("/", `traceparent: 00-${TRACE}-${PARENT}-01\r\ntracestate: a=b\r\n`);
    const [request] = await eventually("the spans are there", async () => (posted.length > 0 ? posted : undefined));
    expect(request).toMatchObject({
      path: "/v1/traces",
      headers: { host: "otel.test", "content-type": "application/x-protobuf", "x-key": "secret" },
    });
    const span = otlpSpan(request?.body ?? Buffer.alloc(0));
    expect(span).toMatchObject({
      service: ["service.name", "web.default"],
      traceId: TRACE,
      parentId: PARENT,
      state: "a=b",
      name: "shop:80/*",
      attributes: { "http.status_code": "200", component: "proxy" },
    });
    expect(span.numbers[6]).toBe(2n);
    expect(span.numbers[8]).toBeGreaterThanOrEqual(span.numbers[7] as bigint);
    expect(headerOf(echoed, "traceparent")).toBe(`00-${TRACE}-${span.spanId}-01`);
    expect(headerOf(echoed, "tracestate")).toBe("a=b");
    expect(headerOf(echoed, "x-b3-traceid")).toBeUndefined();
  });

  it("gets spans over gRPC", async () => {
    const got = Promise.withResolvers<Posted>();
    const server = createHttp2Server();
    server.on("stream", (stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end();
        got.resolve({ path: headers[":path"] ?? "", headers, body: Buffer.concat(chunks) });
      });
    });
    const sessions = new Set<{ destroy(): void }>();
    server.on("session", (session) => sessions.add(session));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const { ask, count } = await traced(port, tracing({ ...OTLP, http: undefined }), {}, true);
    await ask("/");
    const { path, headers, body } = await got.promise;
    expect(path).toBe("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    expect(headers).toMatchObject({ "content-type": "application/grpc", te: "trailers", ":authority": "otel.test" });
    expect(body.readUInt32BE(1)).toBe(body.length - 5);
    expect(otlpSpan(body.subarray(5)).numbers[6]).toBe(3n);
    await eventually("it is counted", async () =>
      count("lateen_tracing_spans_sent_total", {}) === 1 ? true : undefined,
    );
  });
});

describe("a collector that does not take spans harms no request", () => {
  it.each([
    [
      "gone",
      async () => {
        const { port } = await collector();
        for (const close of closing.splice(0)) close();
        return port;
      },
    ],
    ["refusing", async () => (await collector((to) => to.writeHead(503).end())).port],
  ])("when it is %s", async (_title, portOf) => {
    const { ask, count } = await traced(await portOf(), tracing(ZIPKIN));
    expect(await ask("/")).toContain("200 OK");
    await eventually("the span is counted as lost", async () =>
      count("lateen_tracing_spans_dropped_total", { reason: "failed" }) === 1 ? true : undefined,
    );
    expect(await ask("/")).toContain("200 OK");
  });

  it("when it never answers: what waits is bounded, the rest is dropped and counted", async () => {
    const { port } = await collector(() => undefined);
    const { ask, count, proxy } = await traced(port, tracing(ZIPKIN));
    expect(await ask("/")).toContain("200 OK");
    let asked = 0;
    const exporter = new SpanExporter(ZIPKIN, {
      wheel: proxy.context.io.wheel,
      stats: proxy.context.stats,
      call: () => asked++,
    });
    const span = {
      traceId: TRACE,
      spanId: PARENT,
      parentId: undefined,
      state: "",
      shared: false,
      server: false,
      name: "x",
      startMs: 0,
      durationMs: 1,
      failed: false,
      tags: {},
      service: "s",
      address: "10.0.0.1",
      port: 1,
    };
    for (let i = 0; i < MAX_WAITING + 512 + 7; i++) exporter.add(span);
    expect(asked).toBe(1);
    expect(count("lateen_tracing_spans_dropped_total", { reason: "overflow" })).toBe(7);
  });
});

it("costs nothing where nothing is configured: no header is touched", async () => {
  const app = await origin((peer: Peer, message: string) => peer.send(response("200 OK", message)));
  const proxy = await rig({
    hosts: [hostSpec(["shop"], [routeSpec("/", forwardTo("app"), { decorator: "shop:80/*" })])],
    clusters: [clusterSpec("app", [app.port])],
  });
  const echoed = await exchange(proxy.port, `GET / HTTP/1.1\r\nHost: shop\r\nb3: ${TRACE}-${PARENT}-1\r\n\r\n`);
  expect(headerOf(echoed, "b3")).toBe(`${TRACE}-${PARENT}-1`);
  expect(headerOf(echoed, "traceparent")).toBeUndefined();
  expect(headerOf(echoed, "x-request-id")?.[14]).toBe("4");
  expect(proxy.context.shared.size).toBe(0);
});
