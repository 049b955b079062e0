import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { TimerWheel } from "../io/timer-wheel.ts";
import type { FromWorker } from "../worker/protocol.ts";
import type { ConnectionLogFacts, RequestLogFacts } from "./facts.ts";
import { compileFormat } from "./format.ts";
import { LineBuffer } from "./line-buffer.ts";
import { CHUNK_BYTES, LogChunks } from "./log-chunks.ts";
import { LogSinks } from "./sinks.ts";
import { timeFormat } from "./time.ts";

const ENVIRONMENT = { hostname: "node-1", variables: { REGION: "north" }, localPrincipal: "spiffe://td/ns/a/sa/me" };

const CONNECTION: ConnectionLogFacts = {
  info: {
    sourceAddress: "10.0.0.1",
    sourcePort: 4242,
    destinationAddress: "10.0.0.2",
    destinationPort: 80,
    serverName: "",
    secure: false,
    peer: undefined,
  },
  direction: "outbound",
  startTimeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 67),
  durationMs: 12.7,
  bytesReceived: 3,
  bytesSent: 1024,
  flags: "",
  terminationDetails: "",
  upstreamCluster: "outbound|80||shop",
  upstreamHost: "10.0.0.3:8080",
  upstreamLocalAddress: "10.0.0.2:5555",
  upstreamFailure: "",
  source: undefined,
  destination: undefined,
  peerPrincipal: "",
  destinationService: "shop",
};

function facts(
  headers: Readonly<Record<string, string>>,
  overrides: Partial<ConnectionLogFacts & RequestLogFacts> = {},
): ConnectionLogFacts {
  const request: RequestLogFacts = {
    protocol: "HTTP/1.1",
    status: 200,
    details: "via_upstream",
    routeName: "default",
    requestId: "id-1",
    remoteAddress: "10.0.0.1",
    attempts: 1,
    requestDurationMs: 1.2,
    responseDurationMs: 10.1,
    requestHeader: (name) => headers[name],
    responseHeader: (name) => (name === "x-envoy-upstream-service-time" ? "9" : undefined),
    responseTrailer: () => undefined,
    ...overrides,
  };
  return { ...CONNECTION, ...overrides, request };
}

const compiled = (format: Parameters<typeof compileFormat>[0]) => {
  const write = compileFormat(format, ENVIRONMENT);
  return (known: ConnectionLogFacts): string => {
    const out = new LineBuffer(Buffer.alloc(4096));
    write(known, out);
    return out.bytes.toString("latin1", 0, out.length);
  };
};
const text = (format: string) => compiled({ kind: "text", text: format });
const json = (fields: Record<string, unknown>) => compiled({ kind: "json", fields });

describe("text formats", () => {
  const request = facts({ ":method": "GET", ":path": "/a?b=1", ":authority": "shop", "user-agent": "curl" });

  it.each([
    [
      '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"',
      '[2026-01-02T03:04:05.067Z] "GET /a?b=1 HTTP/1.1"',
    ],
    [
      "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%",
      "200 - via_upstream -",
    ],
    [
      "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%",
      "3 1024 12 1 10 2",
    ],
    ["%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %RESP(X)% %TRAILER(Y)%", "9 - -"],
    [
      "%UPSTREAM_HOST% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS%",
      "10.0.0.3:8080 outbound|80||shop 10.0.0.2:5555",
    ],
    ["%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS%", "10.0.0.2:80 10.0.0.1:4242"],
    ["%REQUESTED_SERVER_NAME% %ROUTE_NAME% %UPSTREAM_TRANSPORT_FAILURE_REASON%", "- default -"],
    ["%REQ_WITHOUT_QUERY(:PATH)% %REQ(USER-AGENT):2%", "/a cu"],
    ["%HOSTNAME% %ENVIRONMENT(REGION)% %ENVIRONMENT(NONE)%", "node-1 north -"],
    ["%DYNAMIC_METADATA(a:b)% 100%%", "- 100%"],
  ])("%s", (format, expected) => {
    expect(text(format)(request)).toBe(expected);
  });

  it("tell the client of X-Forwarded-For without a port", () => {
    const line = text("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%");
    expect(line(facts({}, { remoteAddress: "1.2.3.4" }))).toBe("1.2.3.4:0 10.0.0.1:4242");
  });

  it("write - for all of a request where there was none", () => {
    expect(text("%REQ(:METHOD)% %PROTOCOL% %RESPONSE_CODE% %ROUTE_NAME%")(CONNECTION)).toBe("- - 0 -");
  });

  it("cannot be broken into two lines by what a certificate or SNI says", () => {
    const info = { ...CONNECTION.info, serverName: "a\nb\u010a", secure: true };
    const line = text("%REQUESTED_SERVER_NAME%")(facts({}, { info }));
    expect(Buffer.from(line, "latin1").toString("latin1")).not.toMatch(/[\r\n]/);
  });

  it("are refused with the name of an operator that does not exist", () => {
    expect(() => text("%NO_SUCH%")).toThrow(/%NO_SUCH% is not supported/);
    expect(() => text("%START_TIME(%Q)%")).toThrow(/time format/);
  });
});

describe("JSON formats", () => {
  it("keep types, nest, and write null for what is unset", () => {
    const line = json({
      code: "%RESPONSE_CODE%",
      flags: "%RESPONSE_FLAGS%",
      none: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
      both: "%REQ(:METHOD)% %PROTOCOL%",
      fixed: "mesh",
      inner: { list: ["%DURATION%", 7, true] },
    })(facts({ ":method": "GET" }));
    expect(line.endsWith("\n")).toBe(true);
    expect(JSON.parse(line)).toEqual({
      code: 200,
      flags: null,
      none: null,
      both: "GET HTTP/1.1",
      fixed: "mesh",
      inner: { list: [12, 7, true] },
    });
  });

  it("stay valid JSON whatever a client sends", () => {
    const path = '/"\\\x7f\xff\xc3\xa4';
    const line = json({ path: "%REQ(:PATH)%" })(facts({ ":path": path }));
    const parsed = JSON.parse(Buffer.from(line, "latin1").toString("utf8")) as { path: string };
    expect(parsed.path).toBe('/"\\\x7f\ufffdä');
  });
});

describe("START_TIME formats", () => {
  const at = Date.UTC(2026, 2, 9, 4, 5, 6, 78);
  it.each([
    ["%Y/%m/%dT%H:%M:%S%z", "2026/03/09T04:05:06+0000"],
    ["%s.%3f", `${Math.floor(at / 1000)}.078`],
    ["%E3S|%E0S|%6f", "06.078|06|078000"],
    ["%F %T %Z %b %a %j %e", "2026-03-09 04:05:06 UTC Mar Mon 068  9"],
    ["", "2026-03-09T04:05:06.078Z"],
  ])("%s", (format, expected) => {
    expect(timeFormat(format)?.(at)).toBe(expected);
  });
});

describe("sinks", () => {
  function sinks() {
    const clock = manualClock();
    const posted: FromWorker[] = [];
    const wheel = new TimerWheel(clock, () => {});
    const chunks = new LogChunks();
    const logs = new LogSinks({ wheel, environment: ENVIRONMENT, chunks, post: (m) => posted.push(m) });
    /** Lines that were handed over, whose memory is then given back. */
    const lines = (): readonly (readonly [string, string])[] =>
      posted.splice(0).flatMap((message) => {
        if (message.type !== "log") return [];
        const text = chunks.bytes(message.chunk, message.length).toString("latin1");
        chunks.giveBack(message.chunk);
        return [[message.path, text] as const];
      });
    return { clock, posted, logs, lines };
  }

  it("hand lines over together after a moment, by file", () => {
    const { clock, posted, logs, lines } = sinks();
    const line = { kind: "file", format: { kind: "text", text: "%DURATION%\n" } } as const;
    const both = logs.http([
      { ...line, path: "/dev/stdout" },
      { ...line, path: "/tmp/x" },
    ]);
    both.write(CONNECTION);
    both.write(CONNECTION);
    expect(posted).toEqual([]);
    clock.advance(120);
    expect(lines()).toEqual([
      ["/dev/stdout", "12\n12\n"],
      ["/tmp/x", "12\n12\n"],
    ]);
    clock.advance(1000);
    expect(posted).toEqual([]);
  });

  it("hand whole lines over as soon as no more fit, and none that is longer than all there is", () => {
    const { clock, logs, lines } = sinks();
    const log = logs.http([
      { kind: "file", path: "f", format: { kind: "text", text: `%REQ(X)%${"x".repeat(1000)}\n` } },
    ]);
    for (let i = 0; i < 150; i++) log.write(facts({ x: String(i) }));
    log.write(facts({ x: "y".repeat(CHUNK_BYTES) }));
    log.write(facts({ x: "z" }));
    clock.advance(120);
    const got = lines().map(([, text]) => text);
    expect(got.every((batch) => batch.endsWith("x\n"))).toBe(true);
    const expected = [...Array.from({ length: 150 }, (_, i) => String(i)), "z"];
    expect(got.join("").split(/x+\n/)).toEqual([...expected, ""]);
    expect(logs.droppedLines).toBe(1);
  });

  it("hand records over with what was dropped", () => {
    const { clock, posted, logs } = sinks();
    const log = logs.tcp([{ kind: "grpc", logName: "als", cluster: "mixer" }]);
    for (let i = 0; i < 5000; i++) log.write(CONNECTION);
    clock.advance(120);
    expect(posted).toHaveLength(1);
    const [message] = posted;
    if (message?.type !== "records") throw new Error("no records");
    expect(message.records).toHaveLength(4096);
    expect(message.dropped).toBe(904);
    expect(message.records[0]).toMatchObject({
      protocol: "tcp",
      upstreamHost: "10.0.0.3:8080",
      responseFlags: "-",
      reporter: "source",
      downstreamRemoteAddress: "10.0.0.1:4242",
    });
  });

  it("drop lines rather than fill memory", () => {
    const { logs, lines } = sinks();
    const log = logs.http([
      { kind: "file", path: "f", format: { kind: "text", text: `${"x".repeat(CHUNK_BYTES - 1000)}\n` } },
    ]);
    for (let i = 0; i < 200; i++) log.write(CONNECTION);
    expect(logs.droppedLines).toBeGreaterThan(100);
    const before = logs.droppedLines;
    expect(lines().length + before).toBe(200);
    log.write(CONNECTION);
    expect(logs.droppedLines).toBe(before);
  });

  it("cost nothing when there is none", () => {
    expect(sinks().logs.http([]).empty).toBe(true);
  });
});

describe("filters", () => {
  const PEER = {
    principal: "spiffe://td/ns/a/sa/b",
    uris: ["spiffe://td/ns/a/sa/b"],
    dns: [],
    subject: "",
    hash: "",
    pem: "",
  };
  const CALLER = {
    workload: "web-v1",
    namespace: "shop",
    app: "web",
    version: "v1",
    canonicalService: "web",
    canonicalRevision: "v1",
    cluster: "c",
  };
  const matched = facts(
    { ":path": "/a/b?c=d", ":method": "GET", ":authority": "shop", "x-name": Buffer.from("Jörg").toString("latin1") },
    {
      flags: "UF,URX",
      status: 503,
      grpcStatus: 14,
      source: CALLER,
      direction: "inbound",
      info: { ...CONNECTION.info, peer: PEER, serverName: "sni" },
    },
  );

  function logged(filter: string, of: ConnectionLogFacts): number {
    const posted: FromWorker[] = [];
    const wheel = new TimerWheel(manualClock(), () => undefined);
    const sinks = new LogSinks({ wheel, environment: ENVIRONMENT, post: (message) => posted.push(message) });
    sinks.http([{ kind: "file", path: "/dev/stdout", format: { kind: "text", text: "x" }, filter }]).write(of);
    sinks.flush();
    return posted.length;
  }

  it.each([
    "request.path == '/a/b?c=d' && request.url_path == '/a/b' && request.query == 'c=d'",
    "request.method == 'GET' && request.host == 'shop' && request.protocol == 'HTTP/1.1'",
    "request.headers['X-Name'] == 'Jörg' && !('x-other' in request.headers)",
    "response.code >= 500 && response.code_details == 'via_upstream' && response.grpc_status == 14",
    "response.flags == 32800 && response.size == 1024",
    "response.headers['x-envoy-upstream-service-time'] == '9'",
    "request.duration > duration('12ms') && request.time > timestamp('2026-01-01T00:00:00Z')",
    "source.address == '10.0.0.1:4242' && destination.port == 80",
    "upstream.address == '10.0.0.3:8080' && upstream.port == 8080 && upstream.request_attempt_count == 1",
    "xds.cluster_name.startsWith('outbound|') && xds.route_name == 'default' && xds.listener_direction == 1",
    "connection.mtls && connection.uri_san_peer_certificate.matches('^spiffe://') && connection.requested_server_name == 'sni'",
    "filter_state.downstream_peer.app == 'web' && downstream_peer.namespace == 'shop' && !has(upstream_peer.app)",
  ])("let %s through", (filter) => {
    expect(logged(filter, matched)).toBe(1);
  });

  it.each([
    "false",
    "response.code < 500",
    "request.headers['nothing'] == 'x'",
    "request.referer != 'a'",
    "response.code / 0 == 1",
  ])("keep out what %s does not hold of", (filter) => {
    expect(logged(filter, matched)).toBe(0);
  });

  it("know nothing of requests where there are none", () => {
    expect(logged("!has(request.path) && !has(response.code) && response.size == 1024", CONNECTION)).toBe(1);
  });
});
