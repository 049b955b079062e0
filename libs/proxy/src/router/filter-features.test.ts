import { FILTER_DISABLED } from "@lateen/traffic";
import { afterEach, describe, expect, it } from "vitest";
import type { BodyTransformSink, CollectedBody, HttpFilter, HttpFilterRuntime, SideOutcome } from "../chain/spi.ts";
import { stage } from "./testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, routeSpec } from "./testing/rig.ts";
import { type Peer, response } from "./testing/wire.ts";

const { client, exchange, forwarding, origin, rig } = stage(afterEach);

const GET = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
const echo = (peer: Peer, message: string): void => peer.send(response("200 OK", message));
const using = (name: string, create: HttpFilterRuntime["create"]) => ({
  filters: [{ name, create }],
  spec: { httpFilters: [{ name, config: {} }] },
});

/** Asks for the body, then lets the request go on. */
function reader(maxBytes: number, seen: CollectedBody[], sized = false): HttpFilter {
  return {
    onRequestHead(x) {
      x.readBody(maxBytes, (body) => {
        seen.push({ ...body, bytes: Buffer.from(body.bytes) });
        if (sized) x.setRequestLength(body.bytes.length);
        x.resume();
      });
      return "wait";
    },
  };
}

describe("filters that read the request's body", () => {
  it.each([
    ["of a known length", "POST / HTTP/1.1\r\nHost: shop\r\ncontent-length: 4\r\n\r\n", ["bo", "dy"], "body"],
    [
      "in chunks",
      "POST / HTTP/1.1\r\nHost: shop\r\ntransfer-encoding: chunked\r\n\r\n",
      ["2\r\nbo\r\n", "0\r\n\r\n"],
      "bo",
    ],
    ["that is not there", GET, [], ""],
  ])("get one %s before the upstream does", async (_title, head, parts, expected) => {
    const seen: CollectedBody[] = [];
    const backend = await origin(echo);
    const proxy = await forwarding(
      backend,
      using("read", () => reader(100, seen)),
    );
    const peer = await client(proxy.port);
    peer.send(head);
    for (const part of parts) peer.send(part);
    const answer = await peer.message();
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(seen.map(({ bytes, complete }) => [bytes.toString(), complete])).toEqual([[expected, true]]);
  });

  it("get no more than they asked for, and the upstream gets all", async () => {
    const seen: CollectedBody[] = [];
    const backend = await origin(echo);
    const proxy = await forwarding(
      backend,
      using("read", () => reader(3, seen)),
    );
    const answer = await exchange(proxy.port, "POST / HTTP/1.1\r\nHost: shop\r\ncontent-length: 9\r\n\r\n123456789");
    expect(answer).toMatch(/123456789$/);
    expect(seen.map(({ complete }) => complete)).toEqual([false]);
  });

  it("may give it a length", async () => {
    const backend = await origin(echo);
    const proxy = await forwarding(
      backend,
      using("read", () => reader(100, [], true)),
    );
    const chunked =
      "POST / HTTP/1.1\r\nHost: shop\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n";
    const answer = await exchange(proxy.port, chunked);
    expect(answer).toContain("content-length: 4\r\n");
    expect(answer).not.toContain("transfer-encoding");
    expect(answer).toMatch(/\r\n\r\nbody$/);
  });
});

describe("filters that change the response's body", () => {
  const upper = (sink: BodyTransformSink, later: (run: () => void) => void) => ({
    congested: false,
    destroy() {},
    write: (bytes: Buffer, start: number, end: number) => {
      const text = bytes.toString("latin1", start, end).toUpperCase();
      later(() => sink.data(Buffer.from(text)));
    },
    end: () => later(() => sink.end()),
  });
  it.each([
    ["at once", (run: () => void) => run()],
    ["later", (run: () => void) => void setImmediate(run)],
  ])("answer it %s", async (_title, later) => {
    const backend = await origin((peer) => peer.send(response("200 OK", "some text")));
    const proxy = await forwarding(
      backend,
      using("upper", () => ({ onResponseHead: (x) => x.transformResponse((sink) => upper(sink, later)) })),
    );
    const peer = await client(proxy.port);
    for (let i = 0; i < 2; i++) {
      peer.text = "";
      peer.send(GET);
      const answer = await peer.message();
      expect(answer).toContain("transfer-encoding: chunked");
      expect(answer).not.toContain("content-length");
      expect(answer).toContain("SOME TEXT");
    }
  });

  it("of replies of the proxy's own as well", async () => {
    const proxy = await rig({
      hosts: [hostSpec(["*"], [routeSpec("/", { kind: "direct", status: 200, body: "direct" })])],
      ...using("upper", () => ({ onResponseHead: (x) => x.transformResponse((sink) => upper(sink, (run) => run())) })),
    });
    expect(await exchange(proxy.port, GET)).toContain("DIRECT");
  });
});

describe("filters that ask a cluster", () => {
  const asking = (cluster: string, outcomes: SideOutcome[], timeoutMs = 0) =>
    using("ask", (_, context) => ({
      onRequestHead(x) {
        const headers = [["x-asked", "yes"]] as const;
        const request = { cluster, method: "POST", path: "/check", authority: "auth", headers };
        const options = { body: Buffer.from("why"), grpc: false, timeoutMs, maxResponseBytes: 1000 };
        context.call({ ...request, ...options }, (outcome) => {
          outcomes.push(outcome);
          x.resume();
        });
        return "wait";
      },
    }));

  it("get its answer", async () => {
    const outcomes: SideOutcome[] = [];
    const backend = await origin(echo);
    const auth = await origin(echo);
    const proxy = await forwarding(backend, {
      ...asking("auth", outcomes),
      clusters: [clusterSpec("backend", [backend.port]), clusterSpec("auth", [auth.port])],
    });
    expect(await exchange(proxy.port, GET)).toMatch(/^HTTP\/1\.1 200 /);
    expect(outcomes).toMatchObject([{ kind: "response", status: 200 }]);
    const [outcome] = outcomes;
    const body = outcome?.kind === "response" ? outcome.body.toString() : "";
    expect(body).toMatch(/^POST \/check HTTP\/1\.1\r\nhost: auth\r\nx-asked: yes\r\ncontent-length: 3\r\n\r\nwhy$/);
  });

  it.each([
    ["that is not there", "nobody", 0, "noCluster"],
    ["that does not listen", "closed", 0, "reset"],
    ["that does not answer", "silent", 30, "timeout"],
    ["whose answer is too long", "long", 0, "tooLarge"],
  ])("hear of one %s", async (_title, cluster, timeoutMs, reason) => {
    const outcomes: SideOutcome[] = [];
    const backend = await origin(echo);
    const silent = await origin();
    const long = await origin((peer) => peer.send(response("200 OK", "x".repeat(2000))));
    const closed = await origin();
    const { port } = closed;
    closed.close();
    const proxy = await forwarding(backend, {
      ...asking(cluster, outcomes, timeoutMs),
      clusters: [
        clusterSpec("backend", [backend.port]),
        clusterSpec("silent", [silent.port]),
        clusterSpec("long", [long.port]),
        clusterSpec("closed", [port]),
      ],
    });
    expect(await exchange(proxy.port, GET)).toMatch(/^HTTP\/1\.1 200 /);
    expect(outcomes).toMatchObject([{ kind: "failed", reason }]);
  });

  it("give up when the client does", async () => {
    const backend = await origin(echo);
    const silent = await origin();
    let cancelled = false;
    const proxy = await forwarding(backend, {
      clusters: [clusterSpec("backend", [backend.port]), clusterSpec("silent", [silent.port])],
      ...using("ask", (_, context) => ({
        onRequestHead(x) {
          const options = { headers: [], body: Buffer.alloc(0), grpc: false, timeoutMs: 0, maxResponseBytes: 1 };
          const request = { cluster: "silent", method: "GET", path: "/", authority: "a", ...options };
          const call = context.call(request, () => x.resume());
          x.setState(context, call);
          return "wait";
        },
        onDone(x) {
          (x.state(context) as { cancel(): void }).cancel();
          cancelled = true;
        },
      })),
    });
    const peer = await client(proxy.port);
    peer.send(GET);
    while (silent.connections.length === 0) await new Promise((resolve) => setImmediate(resolve));
    peer.socket.resetAndDestroy();
    while (!cancelled || proxy.cluster("silent").activeRequests > 0)
      await new Promise((resolve) => setImmediate(resolve));
    expect(backend.connections).toHaveLength(0);
  });
});

describe("routes and filters", () => {
  const mark = (name: string): HttpFilterRuntime => ({
    name,
    create: (_, { configName }) => ({
      onRequestHead(x) {
        x.requestEdits.append("x-ran", `${configName} ${JSON.stringify(x.routeConfig(configName) ?? "")}`);
        return "continue";
      },
    }),
  });

  it("a route switches filters off and on, and configures them by the name they have in the chain", async () => {
    const backend = await origin(echo);
    const filterConfig = {
      "/off": { a: structuredClone(FILTER_DISABLED) },
      "/on": { b: { x: 1 }, other: { y: 2 } },
      "/": {},
    };
    const proxy = await forwarding(backend, {
      filters: [mark("a"), mark("b")],
      spec: {
        httpFilters: [
          { name: "a", config: {} },
          { name: "a", config: {}, configName: "other" },
          { name: "b", config: {}, disabled: true },
        ],
      },
      hosts: [
        hostSpec(
          ["*"],
          Object.entries(filterConfig).map(([prefix, config]) =>
            routeSpec(prefix, forwardTo("backend"), { filterConfig: config }),
          ),
        ),
      ],
    });
    const ran = async (path: string) => {
      const answer = await exchange(proxy.port, `GET ${path} HTTP/1.1\r\nHost: shop\r\n\r\n`);
      return [...answer.matchAll(/x-ran: (.*)\r\n/g)].map((match) => match[1]);
    };
    expect(await ran("/off")).toEqual(['other ""']);
    expect(await ran("/on")).toEqual(['a ""', 'other {"y":2}', 'b {"x":1}']);
    expect(await ran("/")).toEqual(['a ""', 'other ""']);
  });
});
