import { silentLogger } from "@lateen/kernel";
import { describe, expect, it } from "vitest";
import { Configuration, types } from "./agent/configuration.ts";
import {
  certificateSecret,
  edsCluster,
  endpoints,
  httpListener,
  routes,
  tcpListener,
} from "./agent/testing/resources.ts";
import { PlanState } from "./config/plan-state.ts";
import { ChunkedDecoder } from "./http1/chunked.ts";
import { Http1Head } from "./http1/head.ts";
import { parseRequestHead, parseResponseHead } from "./http1/parse-head.ts";
import { FrameReader } from "./http2/frame-reader.ts";
import { ConnectionFault } from "./http2/frames.ts";
import { HpackDecoder, SCRATCH_BYTES } from "./http2/hpack-decoder.ts";
import { MessageBuilder } from "./http2/message-builder.ts";
import { frame, literal, request } from "./http2/testing/raw-client.ts";
import { sniffHttp } from "./listener/http-sniff.ts";
import { parseProxyHeader } from "./listener/proxy-header.ts";
import { mutations, survive } from "./testing/mutations.ts";
import { parseClientHello } from "./tls/client-hello.ts";

const latin1 = (text: string) => Buffer.from(text, "latin1");
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

const REQUESTS = [
  "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n",
  "GET http://shop.example:80/a/b?c=d HTTP/1.1\r\nHost: other\r\nAccept: */*\r\n\r\n",
  "POST /a%2fb HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 5\r\nConnection: keep-alive, x-a\r\nX-A: b\r\n\r\n",
  "PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
  "CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nTE: trailers\r\n\r\n",
].map(latin1);
const RESPONSES = [
  "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
  "HTTP/1.0 302\r\nlocation: /\r\nconnection: close\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
  "HTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\nset-cookie: a=b; c\r\nset-cookie: d\r\n\r\n",
].map(latin1);

describe("mutated inputs neither throw nor hang", () => {
  const heads = (parse: typeof parseRequestHead) => (input: Buffer) => {
    const head = new Http1Head();
    const after = parse(input, 0, input.length, head);
    expect(after).toBeLessThanOrEqual(input.length);
    if (after <= 0) return;
    head.adopt(input, 0);
    for (let i = 0; i < head.count; i++) {
      expect(head.nameText(i)).toMatch(/^[!#$%&'*+\-.^_`|~0-9a-z]+$/);
      expect(head.valueText(i)).not.toMatch(/[\0\r\n]/);
    }
    // One framing, or none.
    expect(head.chunked && head.contentLength >= 0).toBe(false);
  };

  it("HTTP/1 request heads", () => expect(survive(REQUESTS, 1, heads(parseRequestHead))).toEqual([]));

  it("HTTP/1 response heads", () => expect(survive(RESPONSES, 2, heads(parseResponseHead))).toEqual([]));

  it("chunked bodies", () => {
    const samples = [
      "5\r\nhello\r\n0\r\n\r\n",
      "A;b=c\r\n0123456789\r\n00\r\nx-sum: 1\r\n\r\n",
      "1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
    ];
    const wrong = survive(samples.map(latin1), 3, (input) => {
      const decoder = new ChunkedDecoder();
      decoder.reset();
      let given = 0;
      const after = decoder.decode(input, 0, input.length, { onBodySpan: (_bytes, from, to) => (given += to - from) });
      expect(after).toBeLessThanOrEqual(input.length);
      expect(given).toBeLessThanOrEqual(input.length);
    });
    expect(wrong).toEqual([]);
  });

  const block = Buffer.concat([
    request([["x-a", "b"]]),
    literal("cookie", "a=b", true),
    hex("be c1 3f e1 ff 20 0f 0d"),
  ]);

  it("HTTP/2 frames", () => {
    const samples = [
      Buffer.concat([frame(4, 0, 0, hex("0003 00000064 0004 00010000")), frame(1, 5, 1, block)]),
      Buffer.concat([
        frame(1, 1, 1, block.subarray(0, 5)),
        frame(9, 4, 1, block.subarray(5)),
        frame(0, 9, 1, hex("02 6869 0000")),
      ]),
      Buffer.concat([
        frame(8, 0, 0, hex("00000001")),
        frame(6, 0, 0, hex("0001020304050607")),
        frame(7, 0, 0, hex("00000001 0000000b")),
      ]),
      Buffer.concat([frame(2, 0, 3, hex("00000001 10")), frame(3, 0, 3, hex("00000008")), frame(200, 255, 7, block)]),
    ];
    const wrong = survive(samples, 4, (input) => {
      let seen = 0;
      const reader = new FrameReader({
        over: false,
        onDataStart: () => seen++,
        onDataSpan: (_bytes, start, end) => expect(end).toBeGreaterThanOrEqual(start),
        onDataEnd: () => {},
        onFrame: (_type, _flags, _id, { start, end }) => expect(end).toBeGreaterThanOrEqual(start),
      });
      const cut = Math.floor(input.length / 2);
      try {
        reader.read(input, 0, cut);
        reader.read(input, cut, input.length);
      } catch (error) {
        if (!(error instanceof ConnectionFault)) throw error;
      }
      expect(seen).toBeLessThanOrEqual(input.length);
    });
    expect(wrong).toEqual([]);
  });

  it("HPACK blocks, with the table of those before", () => {
    const samples = [
      block,
      request(),
      request([["accept", "*/*"]], 0x83),
      Buffer.concat([literal("x-big", "y".repeat(3000), true), Buffer.alloc(40, 0xbe)]),
    ];
    let decoder = new HpackDecoder(Buffer.alloc(SCRATCH_BYTES));
    const wrong = survive(samples, 5, (input) => {
      const head = new Http1Head();
      const builder = new MessageBuilder();
      builder.startHead(head, "request");
      const ok = decoder.decode(input, 0, input.length, builder);
      // The connection ends with the first block that is broken.
      if (!ok) decoder = new HpackDecoder(Buffer.alloc(SCRATCH_BYTES));
      if (!ok || builder.finish(true) !== "ok") return;
      for (let i = 0; i < head.count; i++) expect(`${head.nameText(i)}${head.valueText(i)}`).not.toMatch(/[\0\r\n]/);
    });
    expect(wrong).toEqual([]);
  });

  it("PROXY protocol headers", () => {
    const v2 = "0d0a0d0a000d0a515549540a";
    const samples = [
      latin1("PROXY TCP4 203.0.113.7 198.51.100.1 5000 443\r\nGET / HTTP/1.1\r\n"),
      latin1("PROXY TCP6 2001:db8::7 ::1 1 2\r\n"),
      latin1("PROXY UNKNOWN ffff\r\n"),
      hex(`${v2} 21 11 0010 cb007107 c6336401 1388 01bb 04000100`),
      hex(`${v2} 21 21 0024 ${"20010db8".repeat(8)} 0001 0002`),
      hex(`${v2} 20 00 0000`),
    ];
    const wrong = survive(samples, 6, (input) => {
      const found = parseProxyHeader(input);
      if (found.kind === "header") expect(found.length).toBeLessThanOrEqual(input.length);
    });
    expect(wrong).toEqual([]);
  });

  it("TLS ClientHellos and the first bytes of HTTP", () => {
    // Version 1.2, SNI shop.example, ALPN istio and http/1.1.
    const sni = "0000 0011 000f 00 000c 73686f702e6578616d706c65";
    const alpn = "0010 0011 000f 05 697374696f 08 687474702f312e31";
    const body = `0303 ${"ab".repeat(32)} 00 0004 1301c02f 0100 002a ${sni} ${alpn}`.replaceAll(" ", "");
    const handshake = `01 ${(body.length / 2).toString(16).padStart(6, "0")} ${body}`.replaceAll(" ", "");
    const hello = hex(`160301 ${(handshake.length / 2).toString(16).padStart(4, "0")} ${handshake}`);
    expect(parseClientHello(hello)).toEqual({ serverName: "shop.example", alpn: ["istio", "http/1.1"] });
    const wrong = survive([hello, ...REQUESTS], 7, (input) => {
      const result = parseClientHello(input);
      expect(typeof result === "string" || typeof result.serverName === "string").toBe(true);
      expect(["http/1.0", "http/1.1", "h2c", "incomplete", "not-http"]).toContain(sniffHttp(input));
    });
    expect(wrong).toEqual([]);
  });
});

describe("mutated resources of the control plane", () => {
  const sound = [
    { type: types.cluster, resource: edsCluster("reviews") },
    { type: types.endpoint, resource: endpoints("reviews", "10.0.0.1") },
    { type: types.listener, resource: httpListener("http", "routes") },
    { type: types.listener, resource: tcpListener("mtls", "reviews", { certificate: "default", trust: "ROOTCA" }) },
    { type: types.route, resource: routes("routes", "reviews") },
    { type: types.secret, resource: certificateSecret("shop", "chain", "key") },
  ];

  it.each(
    sound.map(({ type, resource }, index) => ({
      name: `${type.split(".").at(-1)} ${resource.name}`,
      type,
      resource,
      index,
    })),
  )("$name: refused by name, or taken", ({ type, resource, index }) => {
    const logger = silentLogger;
    const make = () =>
      new Configuration({
        state: new PlanState(),
        httpFilters: [],
        networkFilters: [],
        namespace: "shop",
        now: () => 0,
        logger,
      });
    let configuration = make();
    const { any, name } = resource;
    expect(configuration.update(type, [{ name, version: "1", any }], [])).toEqual([]);
    const count = { taken: 0, refused: 0 };
    const wrong = survive([Buffer.from(any.value)], 10 + index, (value) => {
      configuration = make();
      const failures = configuration.update(type, [{ name, version: "2", any: { ...any, value } }], []);
      if (failures.length > 0) count.refused++;
      else count.taken++;
      for (const failure of failures) expect(failure.name).toBe(name);
    });
    expect(wrong).toEqual([]);
    expect(count.refused).toBeGreaterThan(0);
  });

  it("nested without end are refused", () => {
    const configuration = new Configuration({
      state: new PlanState(),
      httpFilters: [],
      networkFilters: [],
      namespace: "shop",
      now: () => 0,
      logger: silentLogger,
    });
    const field = (tag: string, bytes: Buffer): Buffer => {
      const length: number[] = [];
      for (let rest = bytes.length; ; rest >>>= 7) {
        length.push(rest > 127 ? (rest & 127) | 128 : rest);
        if (rest <= 127) return Buffer.concat([hex(tag), Buffer.from(length), bytes]);
      }
    };
    // A Value holds a Struct, which holds an entry, which holds a Value …
    let inner: Buffer = Buffer.alloc(0);
    while (inner.length < 10_000) inner = field("2a", field("0a", field("12", inner)));
    const value = field("ca01", field("0a", field("12", field("0a", field("12", inner)))));
    const any = { ...edsCluster("deep").any, value };
    const start = performance.now();
    expect(configuration.update(types.cluster, [{ name: "deep", version: "1", any }], [])).toMatchObject([
      { name: "deep" },
    ]);
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

it("mutations are the same for the same seed, and many", () => {
  const texts = (seed: number) => [...mutations(REQUESTS, seed, 200)].map((bytes) => bytes.toString("latin1"));
  expect(texts(1)).toEqual(texts(1));
  expect(new Set(texts(1)).size).toBeGreaterThan(150);
});
