import { manualClock } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { ListenerSpec } from "../config/plan.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import { chainSpec, type DataPathRig, INSPECT_ALL, listenerSpec, tcpSpec } from "../worker/testing/data-path-rig.ts";
import { Fixtures, GET, manager } from "../worker/testing/fixtures.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

/** HTTP to one origin, TLS for one name to another, everything else to a third. */
async function inspecting(inspectors: Partial<ListenerSpec["inspectors"]> = {}) {
  const clock = manualClock();
  const http = await fixtures.httpOrigin("http");
  const tls = await fixtures.origin();
  const other = await fixtures.origin();
  const proxy: DataPathRig = fixtures.rig({ clock });
  await proxy.apply({
    clusters: [clusterSpec("http", [http.port]), clusterSpec("tls", [tls.port]), clusterSpec("other", [other.port])],
    listeners: [
      listenerSpec("l", 7000, {
        bindToPort: true,
        inspectors: { ...INSPECT_ALL, timeoutMs: 5000, ...inspectors },
        chains: [
          chainSpec(manager("http"), {
            transportProtocol: "raw_buffer",
            applicationProtocols: ["http/1.0", "http/1.1"],
          }),
          chainSpec(tcpSpec("tls"), { serverNames: ["*.example"] }),
        ],
        defaultChain: chainSpec(tcpSpec("other")),
      }),
    ],
  });
  return { clock, http, tls, other, proxy };
}

describe("inspection", () => {
  it("tells HTTP that comes byte by byte", async () => {
    const { proxy } = await inspecting();
    const client = await proxy.dial(7000);
    client.socket.setNoDelay(true);
    for (const char of GET) client.send(char);
    expect(await client.message()).toContain("http: GET /x");
  });

  it("passes TLS on by its name, untouched", async () => {
    const { proxy, tls } = await inspecting();
    void proxy.dialTls(7000, { servername: "shop.example" }).catch(() => {});
    const hello = await (await tls.connection(0)).until((text) => text.includes("shop.example"));
    expect(hello.charCodeAt(0)).toBe(22);
  });

  it("takes everything else as bytes, as soon as it is certain", async () => {
    const { proxy, other } = await inspecting();
    const client = await proxy.dial(7000);
    client.send("EHLO\r\n");
    expect(await (await other.connection(0)).until((text) => text !== "")).toBe("EHLO\r\n");
  });

  it("takes what is said before FIN for a whole conversation", async () => {
    const { proxy, other } = await inspecting();
    const client = await proxy.dial(7000);
    client.socket.end("GET");
    expect(await (await other.connection(0)).untilEnd()).toBe("GET");
  });

  it("goes on without knowledge after the timeout, so that servers may speak first", async () => {
    const { proxy, other, clock } = await inspecting();
    const client = await proxy.dial(7000);
    await accepted(proxy);
    clock.advance(5100);
    const server = await other.connection(0);
    server.send("220 ready");
    await client.until((text) => text === "220 ready");
  });

  it("ends the connection after the timeout when it may not go on", async () => {
    const { proxy, other, clock } = await inspecting({ continueOnTimeout: false });
    const client = await proxy.dial(7000);
    client.send("GE");
    await accepted(proxy);
    clock.advance(5100);
    await client.untilEnd();
    expect(other.connections).toHaveLength(0);
  });

  it("holds back a bounded number of bytes", async () => {
    const { proxy, other } = await inspecting({ http: false });
    const client = await proxy.dial(7000);
    // A ClientHello that never ends.
    const record = `\u0016\u0003\u0001\u0040\u0000\u0001\u0000\u0040\u0000${"x".repeat(0x4000 - 4)}`;
    client.send(record);
    client.send(record);
    await (await other.connection(0)).until((text) => text.length === 2 * record.length);
  });

  it("does not look where it is told not to", async () => {
    const { proxy, other } = await inspecting({ tlsDisabledPorts: [7000], httpDisabledPorts: [7000] });
    const client = await proxy.dial(7000);
    const server = await other.connection(0);
    server.send("first");
    await client.until((text) => text === "first");
  });
});

/** Resolves when the proxy has accepted the first connection. */
async function accepted(proxy: DataPathRig): Promise<void> {
  while (proxy.metric("envoy_listener_downstream_cx_total") === 0)
    await new Promise((resolve) => setImmediate(resolve));
}
