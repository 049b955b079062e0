import { createHash, randomBytes } from "node:crypto";
import { createServer, type Socket } from "node:net";
import { DEAD_PORTS, manualClock } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterSpec, TcpProxySpec } from "../config/plan.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import {
  chainSpec,
  clientTls,
  type DataPathRig,
  type DataPathRigOptions,
  listenerSpec,
  tcpSpec,
} from "../worker/testing/data-path-rig.ts";
import { Fixtures, identity, WEB } from "../worker/testing/fixtures.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

/** A data path with one TCP listener on 9000. */
async function tcp(
  clusters: readonly ClusterSpec[],
  spec: Partial<TcpProxySpec> = {},
  options: DataPathRigOptions = {},
): Promise<DataPathRig> {
  const proxy = fixtures.rig(options);
  const chain = chainSpec(tcpSpec(clusters[0]?.name ?? "missing", spec));
  await proxy.apply({ clusters, listeners: [listenerSpec("tcp", 9000, { bindToPort: true, chains: [chain] })] });
  return proxy;
}

describe("an upstream that cannot be had", () => {
  const cases: readonly [string, () => Promise<readonly ClusterSpec[]>, Partial<TcpProxySpec>, string][] = [
    ["no cluster of that name", async () => [], {}, "NC"],
    ["no endpoint", async () => [clusterSpec("app", [])], {}, "UH"],
    ["nobody listening", async () => [clusterSpec("app", [DEAD_PORTS[0]])], {}, "UF"],
    [
      "nobody listening at any attempt",
      async () => [clusterSpec("app", [...DEAD_PORTS])],
      { maxConnectAttempts: 2 },
      "UF,URX",
    ],
  ];
  it.each(cases)("%s resets the client with the flag", async (_name, clusters, spec, flags) => {
    const proxy = await tcp(await clusters(), spec);
    await proxy.resetBy(9000);
    expect(await proxy.record()).toMatchObject({ responseFlags: flags, bytesSent: 0 });
    expect(proxy.metric("istio_tcp_connections_closed_total", { response_flags: flags })).toBe(1);
  });

  it("tries another endpoint when attempts allow", async () => {
    const app = await fixtures.origin();
    const proxy = await tcp([clusterSpec("app", [DEAD_PORTS[0], app.port])], { maxConnectAttempts: 2 });
    const client = await proxy.dial(9000);
    client.send("x");
    expect(await (await app.connection(0)).until((text) => text !== "")).toBe("x");
  });

  it("refuses connections beyond the cluster's limit", async () => {
    const app = await fixtures.origin();
    const limited = clusterSpec("app", [app.port], {
      circuitBreakers: { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries: 1 },
    });
    const proxy = await tcp([limited]);
    const first = await proxy.dial(9000);
    await app.connection(0);
    await proxy.resetBy(9000);
    expect(await proxy.record()).toMatchObject({ responseFlags: "UO" });
    expect(first.closed).toBe(false);
  });

  it("is forgotten when the client goes first", async () => {
    const proxy = await tcp([clusterSpec("app", [await silentPort()], { transport: clientTls() })]);
    await proxy.apply({ secrets: identity(WEB) });
    const client = await proxy.dial(9000);
    client.send("x");
    await settled(() => proxy.metric("envoy_cluster_upstream_cx_active"));
    client.socket.resetAndDestroy();
    expect(await proxy.record()).toMatchObject({ responseFlags: "DC", bytesSent: 0 });
    expect(proxy.metric("envoy_cluster_upstream_cx_active")).toBe(0);
  });
});

/** A port on which somebody listens who never says a word. */
async function silentPort(): Promise<number> {
  return (await fixtures.origin()).port;
}

/** The first record, with the log's own timer moved on. */
async function ended(proxy: DataPathRig, clock: ReturnType<typeof manualClock>) {
  await clock.advanceAsync(200);
  return proxy.record();
}

describe("an established connection", () => {
  it("is spread by weight", async () => {
    const [a, b] = [await fixtures.origin(), await fixtures.origin()];
    const proxy = await tcp([clusterSpec("a", [a.port]), clusterSpec("b", [b.port])], {
      clusters: [
        { cluster: "a", weight: 0 },
        { cluster: "b", weight: 100 },
      ],
    });
    await proxy.dial(9000);
    await b.connection(0);
    expect(a.connections).toHaveLength(0);
  });

  it("ends after the idle timeout, which bytes put off", async () => {
    const clock = manualClock();
    const app = await fixtures.origin();
    const proxy = await tcp([clusterSpec("app", [app.port])], { idleTimeoutMs: 1000 }, { clock });
    const client = await proxy.dial(9000);
    const server = await app.connection(0);
    clock.advance(900);
    server.send("x");
    await client.until((text) => text === "x");
    clock.advance(900);
    expect(client.closed).toBe(false);
    clock.advance(200);
    await client.untilEnd();
    await server.untilEnd();
    expect(await ended(proxy, clock)).toMatchObject({ responseDetails: "idle_timeout", bytesSent: 1 });
  });

  it("passes a reset on", async () => {
    const app = await fixtures.origin();
    const proxy = await tcp([clusterSpec("app", [app.port])]);
    const client = await proxy.dial(9000);
    const server = await app.connection(0);
    const error = new Promise<NodeJS.ErrnoException>((resolve) => server.socket.once("error", resolve));
    client.socket.resetAndDestroy();
    expect((await error).code).toBe("ECONNRESET");
  });

  it("holds the sender back while the receiver does not read, and loses nothing", async () => {
    const payload = randomBytes(24 * 1024 * 1024);
    const accepted = Promise.withResolvers<Socket>();
    const server = createServer((socket) => accepted.resolve(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    fixtures.defer(() => server.close());
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const proxy = await tcp([clusterSpec("app", [port])]);
    const client = await proxy.dial(9000);
    client.socket.pause();
    const sender = await accepted.promise;
    fixtures.defer(() => sender.destroy());
    sender.end(payload);
    // As long as nobody reads, what the proxy takes is what fits into socket buffers and its own high-water mark.
    await settled(() => proxy.metric("istio_tcp_sent_bytes_total"));
    expect(proxy.metric("istio_tcp_sent_bytes_total")).toBeLessThan(payload.length / 2);
    const hash = createHash("sha256");
    let received = 0;
    client.socket.removeAllListeners("data");
    client.socket.on("data", (bytes: Buffer) => {
      received += bytes.length;
      hash.update(bytes);
    });
    client.socket.resume();
    await client.untilEnd();
    expect(received).toBe(payload.length);
    expect(hash.digest("hex")).toBe(createHash("sha256").update(payload).digest("hex"));
  });
});

/** Resolves when the value has stopped changing over many rounds of the event loop. */
async function settled(value: () => number): Promise<void> {
  let last = -1;
  for (let still = 0; still < 500; still++) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = value();
    if (now !== last || now === 0) still = 0;
    last = now;
  }
}

describe("metrics as they were asked for", () => {
  const LABELS = { source_app: "", response_flags: "-" };

  it("lack labels, have labels of one's own and leave out what was disabled", async () => {
    const app = await fixtures.origin();
    const changes = [
      {
        metric: "",
        tags: { port: "string(destination.port)", to: "xds.cluster_name" },
        removedTags: ["source_app"],
        drop: false,
      },
      { metric: "tcp_sent_bytes_total", tags: {}, removedTags: [], drop: true },
    ];
    const proxy = await tcp([clusterSpec("app", [app.port])], { metrics: { changes } });
    const client = await proxy.dial(9000);
    client.send("four");
    const server = await app.connection(0);
    await server.until((text) => text === "four");
    expect(proxy.metric("istio_tcp_received_bytes_total", { to: "app" })).toBe(4);
    expect(proxy.metric("istio_tcp_received_bytes_total", { to: "app", ...LABELS })).toBe(0);
    client.close();
    server.close();
    await proxy.record();
    expect(proxy.metric("istio_tcp_connections_closed_total", { to: "app" })).toBe(1);
    expect(proxy.metric("istio_tcp_sent_bytes_total", {})).toBe(0);
  });

  it("tell bytes as seldom as was asked for, and all of them at the end", async () => {
    const app = await fixtures.origin();
    const proxy = await tcp([clusterSpec("app", [app.port])], { metrics: { tcpReportingMs: 3_600_000 } });
    const client = await proxy.dial(9000);
    client.send("four");
    const server = await app.connection(0);
    await server.until((text) => text === "four");
    expect(proxy.metric("istio_tcp_connections_opened_total", {})).toBe(1);
    expect(proxy.metric("istio_tcp_received_bytes_total", {})).toBe(0);
    client.close();
    server.close();
    await proxy.record();
    expect(proxy.metric("istio_tcp_received_bytes_total", {})).toBe(4);
  });
});
