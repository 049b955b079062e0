import type { Clock } from "@lateen/kernel";
import { type ApiServerOptions, eventually, manualClock } from "@lateen/test-support";
import { describe, expect, it, onTestFinished } from "vitest";
import type { ApiObject } from "../client/objects.ts";
import { type TestCluster, testCluster } from "../testing/cluster.ts";
import { Collector } from "../testing/collector.ts";
import { configMap } from "../testing/objects.ts";
import { type FollowOptions, follow } from "./follow.ts";
import type { Watched } from "./reflector.ts";

const MAPS = { group: "", version: "v1", plural: "configmaps" };
const WIDGETS = { group: "example.dev", version: "v1", plural: "widgets" };
const WIDGET_RESOURCE = { ...WIDGETS, versions: ["v1"], kind: "Widget", namespaced: true };
const SNAPSHOT = ["+a", "+b", "+c"];

const watched: Watched<string> = {
  addresses: [MAPS],
  keyOf: ({ metadata }) => metadata.name,
  convert: convert,
};

function convert(object: ApiObject) {
  const data = (object.data ?? {}) as Record<string, string>;
  if (data.fail) throw new Error(data.fail);
  if (data.ignore) return { outcome: "ignored" } as const;
  const value = data.value ?? "";
  return { outcome: "kept", value, print: value } as const;
}

async function following(
  prepare: (cluster: TestCluster) => void = () => undefined,
  more: {
    readonly watched?: Partial<Watched<string>>;
    readonly server?: ApiServerOptions & { readonly timeoutMs?: number };
    readonly tuning?: FollowOptions["tuning"];
    readonly clock?: Clock;
  } = {},
) {
  const cluster = await testCluster(onTestFinished, more.server);
  cluster.server.apply(configMap("a"), configMap("b"), configMap("c"));
  prepare(cluster);
  const collector = new Collector<string>();
  const { options, scope } = cluster;
  const tuning = { ...options.tuning, ...more.tuning };
  const started = follow(
    cluster.api,
    [{ ...watched, ...more.watched }],
    { ...options, tuning, scope, ...(more.clock === undefined ? {} : { clock: more.clock }) },
    collector.receive,
  );
  return { ...cluster, collector, started };
}

const change = (name: string, value: string) => configMap(name, { value });

describe("following a collection", () => {
  it("lists page by page, then tells each change once", async () => {
    const { server, collector, started } = await following();
    await started;
    expect(collector.deliveries).toEqual([SNAPSHOT]);
    const lists = server.requests.filter(({ verb }) => verb === "list");
    expect(lists.map(({ query }) => [query.get("limit"), query.has("continue")])).toEqual([
      ["2", false],
      ["2", true],
    ]);
    server.apply(change("a", "1"));
    server.delete("v1", "ConfigMap", "b", "shop");
    server.apply(change("d", "2"));
    await collector.until(({ state }) => state.get("d") === "2");
    expect(collector.later).toEqual(["+a", "-b", "+d"]);
  });

  it("does not tell what changes nothing for the receiver", async () => {
    const { server, collector, started } = await following();
    await started;
    server.apply({ ...configMap("a"), metadata: { name: "a", namespace: "shop", labels: { touched: "1" } } });
    server.apply(change("b", "1"));
    await collector.until(({ state }) => state.get("b") === "1");
    expect(collector.later).toEqual(["+b"]);
  });

  it("an object added and deleted at once is gone, one deleted and added is there", async () => {
    const { server, collector, started } = await following();
    await started;
    server.apply(change("x", "1"));
    server.delete("v1", "ConfigMap", "x", "shop");
    server.delete("v1", "ConfigMap", "a", "shop");
    server.apply(change("a", "again"));
    await collector.until(({ state }) => state.get("a") === "again");
    expect(collector.keys).toEqual(["a", "b", "c"]);
  });

  it("goes on from where it was when the watch ends, without a list", async () => {
    const { server, collector, started } = await following();
    await started;
    for (const [at, how] of (["close", "reset"] as const).entries()) {
      server.endWatches(how);
      server.apply(change("a", how));
      await collector.until(({ state }) => state.get("a") === how);
      expect(collector.later).toHaveLength(at + 1);
    }
    expect(server.requests.filter(({ verb }) => verb === "list")).toHaveLength(2);
  });

  it.each(["an event", "the answer"])(
    "lists again when %s says that its version is too old, and tells just what differs",
    async (what) => {
      const { server, collector, started } = await following();
      await started;
      const restore = server.fault(({ verb }) => (verb === "watch" ? { status: 503 } : undefined));
      server.endWatches("reset");
      server.delete("v1", "ConfigMap", "b", "shop");
      server.apply(change("c", "1"));
      server.compact();
      if (what === "the answer") {
        let once = true;
        server.fault(({ verb }) => {
          if (verb !== "watch" || !once) return undefined;
          once = false;
          return { status: 410, body: JSON.stringify({ kind: "Status", code: 410, reason: "Expired" }) };
        });
      }
      restore();
      await collector.until(({ state }) => state.get("c") === "1");
      expect(collector.later).toEqual(["+c", "-b"]);
      expect(collector.snapshots).toBe(1);
      server.apply(change("a", "2"));
      await collector.until(({ state }) => state.get("a") === "2");
    },
  );

  it("keeps a version that is not too old by bookmarks, while nothing changes", async () => {
    const { server, collector, started } = await following(undefined, { server: { bookmarkMs: 5 } });
    await started;
    // Changes of something else take the version on.
    server.apply({ apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace: "shop" } });
    server.compact();
    server.apply(change("a", "mark"));
    await collector.until(({ state }) => state.get("a") === "mark");
    const lists = () => server.requests.filter(({ verb }) => verb === "list").length;
    const before = lists();
    server.endWatches("close");
    server.apply(change("a", "more"));
    await collector.until(({ state }) => state.get("a") === "more");
    expect(lists()).toBe(before);
  });

  it("starts anew when pages expire while they are read, with all at once", async () => {
    let compacted = false;
    const { collector, server, started } = await following(({ server: { fault, compact }, server }) => {
      fault.call(server, ({ query }) => {
        if (query.has("continue") && !compacted) {
          compacted = true;
          compact.call(server);
        }
        return undefined;
      });
    });
    await started;
    expect(collector.deliveries).toEqual([SNAPSHOT]);
    const [last] = server.requests.filter(({ verb }) => verb === "list").slice(-1);
    expect(last?.query.get("limit")).toBeNull();
  });

  it("ignores events that come twice or late", async () => {
    const { server, collector, started } = await following();
    await started;
    const old = server.get("v1", "ConfigMap", "a", "shop");
    server.apply(change("a", "new"));
    server.delete("v1", "ConfigMap", "b", "shop");
    await collector.until(({ state }) => state.get("a") === "new" && !state.has("b"));
    const late = [
      { type: "MODIFIED", object: old },
      { type: "DELETED", object: old },
      { type: "ADDED", object: { ...old, metadata: { ...old?.metadata, name: "b" } } },
    ];
    const restore = server.fault(({ verb }) =>
      verb === "watch" ? { status: 200, body: late.map((event) => `${JSON.stringify(event)}\n`).join("") } : undefined,
    );
    const told = server.requests.length;
    server.endWatches("close");
    await collector.until(() => true);
    await waitFor(() => server.requests.length > told + 1);
    restore();
    server.apply(change("c", "after"));
    await collector.until(({ state }) => state.get("c") === "after");
    expect(collector.later).toEqual(["+a", "-b", "+c"]);
  });
});

describe("an API server that fails", () => {
  const gone = { status: 500, body: "boom" };
  it.each([
    ["an error", gone],
    ["a page of a proxy", { status: 200, body: "<html>login</html>" }],
    ["an object that is no list", { status: 200, body: '{"kind":"Status","metadata":{}}' }],
    ["a list without a version", { status: 200, body: '{"kind":"ConfigMapList","metadata":{},"items":[]}' }],
    ["a refusal", { status: 403 }],
    ["not found, where the resource always is", { status: 404 }],
    ["a broken connection", "reset"],
  ] as const)("by %s takes nothing away, and is tried again", async (_, fault) => {
    const { server, collector, started, logger } = await following();
    await started;
    const asked = server.requests.length;
    const restore = server.fault(() => fault);
    server.endWatches("expired");
    await waitFor(() => server.requests.length > asked + 3);
    expect(collector.keys).toEqual(["a", "b", "c"]);
    expect(collector.later).toEqual([]);
    restore();
    server.delete("v1", "ConfigMap", "b", "shop");
    await collector.until(({ state }) => !state.has("b"));
    expect(collector.later).toEqual(["-b"]);
    // Told once, not with every attempt.
    expect(logger.of("kubernetes.watch_failed").length).toBeLessThanOrEqual(3);
  });

  it("by being away takes nothing away; what happened meanwhile comes as a difference", async () => {
    const { server, collector, started } = await following();
    await started;
    await server.stop();
    server.storage.compact();
    server.delete("v1", "ConfigMap", "c", "shop");
    expect(collector.keys).toEqual(["a", "b", "c"]);
    await server.start();
    await collector.until(({ state }) => !state.has("c"));
    expect(collector.later).toEqual(["-c"]);
  });

  it("by not answering is given up, and by a watch that brings nothing at all", async () => {
    const { server, collector, started } = await following(undefined, {
      server: { timeoutMs: 150, bookmarkMs: 60_000 },
      tuning: { stallMs: 100 },
    });
    await started;
    const watches = () => server.requests.filter(({ verb }) => verb === "watch").length;
    await waitFor(() => watches() >= 3);
    const restore = server.fault(() => "hang");
    const asked = server.requests.length;
    server.endWatches("expired");
    await waitFor(() => server.requests.length >= asked + 3);
    restore();
    server.apply(change("a", "1"));
    await collector.until(({ state }) => state.get("a") === "1");
    expect(collector.later).toEqual(["+a"]);
  });

  it("by breaking off a watch that was one, however often, makes nobody wait longer and longer", async () => {
    const clock = manualClock();
    let accepted = 0;
    const { server, started } = await following(
      ({ api }) => {
        const watch = api.watch.bind(api);
        const count = () => void accepted++;
        api.watch = (address, options) =>
          watch(address, { ...options, accepted: () => [options.accepted?.(), count()] });
      },
      { clock, server: { bookmarkMs: 60_000 } },
    );
    await started;
    for (let round = 1; round <= 5; round++) {
      await waitFor(() => accepted === round);
      // Nothing changes, so that the version is what it was.
      clock.advance(60_000);
      server.endWatches("reset");
      await waitFor(() => clock.pending > 0);
      // The longest that the first pause can be; a second one would be twice as long.
      clock.advance(5);
    }
    await waitFor(() => accepted === 6);
  });

  it("delivers nothing before a list was read in full", async () => {
    const { server, collector, started } = await following(({ server }) => {
      let failures = 3;
      server.fault(({ query }) => (query.has("continue") && failures-- > 0 ? gone : undefined));
    });
    await started;
    expect(collector.deliveries).toEqual([SNAPSHOT]);
    expect(server.requests.filter(({ verb }) => verb === "list").length).toBeGreaterThan(4);
  });

  it("waits as long as it is asked to", async () => {
    let first: number | undefined;
    let second: number | undefined;
    const { started } = await following(
      ({ server }) => {
        server.fault(() => {
          if (first === undefined) {
            first = performance.now();
            return { status: 429, headers: { "retry-after": "1" } };
          }
          second ??= performance.now();
          return undefined;
        });
      },
      { tuning: { maxBackoffMs: 300 } },
    );
    await started;
    // Not longer than the longest pause, whatever it asks.
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThan(290);
  });
});

describe("objects that cannot be used", () => {
  it("leave their last good version in force, and the others alone", async () => {
    const { server, collector, started, logger } = await following(({ server }) => {
      server.apply(configMap("b", { fail: "bad from the start" }));
    });
    await started;
    expect(collector.keys).toEqual(["a", "c"]);
    server.apply(configMap("a", { fail: "no good" }), change("c", "1"));
    await collector.until(({ state }) => state.get("c") === "1");
    expect(collector.keys).toEqual(["a", "c"]);
    expect(logger.of("kubernetes.object_ignored").map(({ object }) => object)).toEqual(["b", "a"]);
    server.endWatches("expired");
    server.apply(change("a", "good"), change("b", "good"));
    await collector.until(({ state }) => state.get("a") === "good" && state.get("b") === "good");
    server.delete("v1", "ConfigMap", "a", "shop");
    await collector.until(({ state }) => !state.has("a"));
  });

  it("that are not wanted any more are gone", async () => {
    const { server, collector, started } = await following();
    await started;
    server.apply(configMap("a", { ignore: "yes" }));
    await collector.until(({ state }) => !state.has("a"));
    expect(collector.later).toEqual(["-a"]);
  });
});

describe("a resource that may not be installed", () => {
  const widget = (name: string) => ({
    apiVersion: "example.dev/v1",
    kind: "Widget",
    metadata: { name, namespace: "shop" },
  });
  const optional = { addresses: [{ ...WIDGETS, version: "v2" }, WIDGETS], optional: true } as const;

  it("is empty, and watched as soon as it is, under a version that the server has", async () => {
    const { server, collector, started } = await following(undefined, { watched: optional });
    await started;
    expect(collector.deliveries).toEqual([[]]);
    server.install(WIDGET_RESOURCE);
    server.apply(widget("w"));
    await collector.until(({ state }) => state.has("w"));
    server.apply(widget("x"));
    await collector.until(({ state }) => state.has("x"));
  });

  it("keeps its objects while it is unknown for a moment, and loses them when it is gone for good", async () => {
    const { server, collector, started } = await following(
      ({ server }) => {
        server.install(WIDGET_RESOURCE);
        server.apply(widget("w"));
      },
      { watched: optional },
    );
    await started;
    let unknown = 4;
    const restore = server.fault(({ plural }) => (plural === "widgets" && unknown-- > 0 ? { status: 404 } : undefined));
    server.endWatches("expired");
    server.apply(widget("x"));
    await collector.until(({ state }) => state.has("x"));
    expect(collector.later).toEqual(["+x"]);
    restore();
    server.uninstall(WIDGET_RESOURCE);
    await collector.until(({ state }) => state.size === 0);
  });
});

async function waitFor(done: () => boolean): Promise<void> {
  await eventually("what the test waits for", async () => (done() ? true : undefined), 20_000, 5);
}
