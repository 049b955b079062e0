import { manualClock } from "@lateen/test-support";
import type { HashPolicySpec, RetrySpec } from "@lateen/traffic";
import { afterEach, describe, expect, it } from "vitest";
import { stage } from "../router/testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, routeSpec } from "../router/testing/rig.ts";
import { type Peer, response } from "../router/testing/wire.ts";

const { exchange, origin, rig } = stage(afterEach);

const named =
  (name: string) =>
  (peer: Peer): void =>
    peer.send(response("200 OK", name));
const bodyOf = (answer: string) => answer.slice(answer.indexOf("\r\n\r\n") + 4);
const get = (lines = "") => `GET / HTTP/1.1\r\nHost: shop\r\n${lines}\r\n`;
const RING = { kind: "ringHash", minimumSize: 64, maximumSize: 1024 } as const;

async function sticky(hashPolicies: readonly HashPolicySpec[], kind: typeof RING | { kind: "maglev"; tableSize: 251 }) {
  const origins = await Promise.all(["a", "b", "c"].map((name) => origin(named(name))));
  const ports = origins.map(({ port }) => port);
  return rig({
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend", { hashPolicies }))])],
    clusters: [clusterSpec("backend", ports, { balance: "hash", hash: kind })],
  });
}

describe("requests that are hashed", () => {
  it.each([
    ["ring hash", RING],
    ["maglev", { kind: "maglev", tableSize: 251 }],
  ] as const)("go to one endpoint for one value: %s", async (_name, kind) => {
    const proxy = await sticky([{ kind: "header", name: "x-user", terminal: false }], kind);
    const seen = new Map<string, Set<string>>();
    for (let i = 0; i < 36; i++) {
      const user = `user-${i % 12}`;
      const answers = seen.get(user) ?? new Set();
      seen.set(user, answers.add(bodyOf(await exchange(proxy.port, get(`x-user: ${user}\r\n`)))));
    }
    expect([...seen.values()].map((answers) => answers.size)).toEqual(new Array(12).fill(1));
    expect(new Set([...seen.values()].flatMap((answers) => [...answers])).size).toBeGreaterThan(1);
  });

  it("go anywhere without the value", async () => {
    const proxy = await sticky([{ kind: "header", name: "x-user", terminal: false }], RING);
    const answers = new Set<string>();
    for (let i = 0; i < 24; i++) answers.add(bodyOf(await exchange(proxy.port, get())));
    expect(answers.size).toBeGreaterThan(1);
  });

  it("get a cookie that brings them back", async () => {
    const cookie = {
      kind: "cookie",
      name: "stick",
      ttlSeconds: 60,
      path: "/",
      attributes: [],
      terminal: false,
    } as const;
    const proxy = await sticky([cookie], RING);
    const first = await exchange(proxy.port, get());
    const value = /set-cookie: (stick="[0-9a-f]{16}"); Max-Age=60; Path=\/; HttpOnly\r\n/.exec(first)?.[1];
    expect(value).toBeDefined();
    for (let i = 0; i < 6; i++) {
      const again = await exchange(proxy.port, get(`cookie: other=1; ${value}\r\n`));
      expect([bodyOf(again), again.includes("set-cookie")]).toEqual([bodyOf(first), false]);
    }
  });
});

describe("retries to other priorities", () => {
  const RETRY: RetrySpec = {
    attempts: 3,
    retryOn: ["5xx"],
    retriableStatusCodes: [],
    perTryTimeoutMs: 0,
    baseIntervalMs: 1,
    maxIntervalMs: 1,
    avoidPreviousHosts: false,
    hostSelectionMaxAttempts: 1,
  };
  const failing = (peer: Peer): void => peer.send(response("503 Service Unavailable", "near"));

  it.each([
    [true, "far"],
    [false, "near"],
  ])("are made when asked for: %s", async (avoidPreviousPriorities, expected) => {
    const [near, far] = [await origin(failing), await origin(named("far"))];
    const [first] = clusterSpec("backend", [near.port]).endpoints;
    const [second] = clusterSpec("backend", [far.port]).endpoints;
    if (first === undefined || second === undefined) throw new Error("two localities");
    const proxy = await rig({
      hosts: [
        hostSpec(["*"], [routeSpec("/", forwardTo("backend", { retry: { ...RETRY, avoidPreviousPriorities } }))]),
      ],
      clusters: [clusterSpec("backend", [], { endpoints: [first, { ...second, priority: 1 }] })],
    });
    expect(bodyOf(await exchange(proxy.port, get()))).toBe(expected);
  });
});

describe("slow start", () => {
  it("gives new endpoints little at first and all in the end", async () => {
    const clock = manualClock();
    const proxy = await rig({
      clock,
      hosts: [],
      clusters: [
        clusterSpec("backend", [1], {
          slowStart: { windowMs: 10_000, minPercent: 10, aggression: 1 },
          balance: "random",
        }),
      ],
    });
    const cluster = proxy.cluster("backend");
    clock.advance(20_000);
    cluster.setEndpoints(clusterSpec("backend", [1, 2]).endpoints);
    const share = () => {
      let fresh = 0;
      for (let i = 0; i < 1000; i++) if (cluster.pick()?.spec.port === 2) fresh++;
      return fresh / 1000;
    };
    expect(share()).toBeLessThan(0.15);
    clock.advance(5000);
    expect(Math.abs(share() - 1 / 3)).toBeLessThan(0.08);
    clock.advance(6000);
    expect(Math.abs(share() - 1 / 2)).toBeLessThan(0.08);
  });
});
