import { manualClock } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { Exchange, HttpFilter, HttpFilterRuntime } from "../chain/spi.ts";
import { stage } from "./testing/fixtures.ts";
import { type Peer, response } from "./testing/wire.ts";

const { client, exchange, forwarding, origin } = stage(afterEach);

const GET = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
const echo = (peer: Peer, message: string): void => peer.send(response("200 OK", message));

function runtime(name: string, filter: HttpFilter): HttpFilterRuntime {
  return { name, create: () => filter };
}

function using(...filters: readonly HttpFilterRuntime[]) {
  return { filters, spec: { httpFilters: filters.map(({ name }) => ({ name, config: {} })) } };
}

describe("HTTP filters", () => {
  it("see requests in order, responses in reverse, and the end once", async () => {
    const seen: string[] = [];
    const make = (name: string): HttpFilterRuntime =>
      runtime(name, {
        onRequestHead: (x) => {
          seen.push(`${name} request`);
          x.requestEdits.append("x-path", name);
          return "continue";
        },
        onUpstream: () => void seen.push(`${name} upstream`),
        onResponseHead: (x) => {
          seen.push(`${name} response`);
          x.responseEdits.set(`x-${name}`, "1");
        },
        onDone: (x) => void seen.push(`${name} done ${x.summary.responseCode} ${x.summary.cluster?.name}`),
      });
    const backend = await origin(echo);
    const proxy = await forwarding(backend, using(make("a"), make("b")));
    const answer = await exchange(proxy.port, GET);
    expect(answer).toContain("x-path: a\r\nx-path: b\r\n");
    expect(answer).toContain("x-a: 1\r\n");
    expect(seen).toEqual([
      "a request",
      "b request",
      "a upstream",
      "b upstream",
      "b response",
      "a response",
      "a done 200 backend",
      "b done 200 backend",
    ]);
  });

  it("answer instead of the upstream", async () => {
    const backend = await origin(echo);
    const deny = runtime("deny", {
      onRequestHead(x) {
        x.localReply({ status: 403, body: "RBAC: access denied", flag: "", details: "rbac_access_denied" });
        return "replied";
      },
    });
    const proxy = await forwarding(backend, using(deny));
    const peer = await client(proxy.port);
    for (let i = 0; i < 2; i++) {
      peer.send("POST / HTTP/1.1\r\nHost: shop\r\ncontent-length: 2\r\n\r\nok");
      const answer = await peer.until((text) => text.endsWith("denied"));
      expect(answer).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
      if (answer.includes("connection: close")) break;
      peer.text = "";
    }
    expect(backend.connections).toHaveLength(0);
  });

  it("hold a request with its body until they have decided", async () => {
    const clock = manualClock();
    const backend = await origin(echo);
    const delay = runtime("delay", {
      onRequestHead(x) {
        x.after(1000, () => {
          x.addFlag("DI");
          x.resume();
        });
        return "wait";
      },
    });
    const log = { kind: "file", path: "p", format: { kind: "text", text: "%RESPONSE_FLAGS% %DURATION%\n" } } as const;
    const proxy = await forwarding(backend, {
      ...using(delay),
      spec: { httpFilters: [{ name: "delay", config: {} }], accessLogs: [log] },
      clock,
    });
    const peer = await client(proxy.port);
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\ncontent-length: 4\r\n\r\nbo");
    while (proxy.manager.activeExchanges === 0) await new Promise((resolve) => setImmediate(resolve));
    peer.send("dy");
    clock.advance(900);
    expect(backend.connections).toHaveLength(0);
    clock.advance(120);
    expect(await peer.message()).toMatch(/\r\n\r\nbody$/);
    expect(proxy.logText()).toMatch(/^DI 10\d\d\n$/);
  });

  it("that wait are told when the client goes", async () => {
    let done: Exchange | undefined;
    const backend = await origin();
    const forever = runtime("forever", {
      onRequestHead: () => "wait",
      onDone: (x) => {
        done = x;
      },
    });
    const proxy = await forwarding(backend, using(forever));
    const peer = await client(proxy.port);
    peer.send(GET);
    while (proxy.manager.activeExchanges === 0) await new Promise((resolve) => setImmediate(resolve));
    peer.socket.resetAndDestroy();
    while (done === undefined) await new Promise((resolve) => setImmediate(resolve));
    expect(done.summary.responseFlags).toBe("DC");
    expect(done.summary.responseCode).toBe(0);
    done.resume();
    expect(backend.connections).toHaveLength(0);
  });

  it("that throw let nothing through", async () => {
    const backend = await origin(echo);
    const broken = runtime("broken", {
      onRequestHead() {
        throw new Error("a defect");
      },
    });
    const proxy = await forwarding(backend, using(broken));
    const defects: unknown[] = [];
    proxy.context.io.onDefect = (error) => defects.push(error);
    expect(await exchange(proxy.port, GET)).toMatch(/^HTTP\/1\.1 500 /);
    expect(defects).toEqual([new Error("a defect")]);
    expect(backend.connections).toHaveLength(0);
  });

  it("do not find headers that were taken away", async () => {
    const found: (string | undefined)[] = [];
    const backend = await origin(echo);
    const look = runtime("look", {
      onRequestHead(x) {
        found.push(x.request.count > 0 ? headerText(x, "x-envoy-retry-on") : undefined, headerText(x, "x-seen"));
        return "continue";
      },
    });
    const proxy = await forwarding(backend, { ...using(look), direction: "inbound" });
    await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: shop\r\nx-envoy-retry-on: 5xx\r\nx-seen: yes\r\n\r\n");
    expect(found).toEqual([undefined, "yes"]);
  });
});

function headerText(x: Exchange, name: string): string | undefined {
  for (let i = 0; i < x.request.count; i++) {
    if (x.request.nameText(i) !== name) continue;
    const hash = x.request.nameHashes[i] ?? 0;
    return x.request.find(Buffer.from(name), hash) === i && hash !== 0 ? x.request.valueText(i) : undefined;
  }
  return undefined;
}
