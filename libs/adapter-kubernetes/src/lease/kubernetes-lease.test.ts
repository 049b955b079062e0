import { Scope } from "@lateen/kernel";
import { eventually, manualClock } from "@lateen/test-support";
import { describe, expect, it, onTestFinished } from "vitest";
import { testCluster } from "../testing/cluster.ts";
import { type KubernetesLeaseOptions, kubernetesLease } from "./kubernetes-lease.ts";
import { whileLeading } from "./while-leading.ts";

/** Whole seconds are the least that a Lease can say. */
const TIMES = { durationMs: 1000, lostMs: 600, renewMs: 50, retryMs: 20 };

async function leasing() {
  const cluster = await testCluster(onTestFinished);
  const { api, options } = cluster;
  const scopeOfTest = () => {
    const scope = new Scope();
    onTestFinished(() => scope.close());
    return scope;
  };
  const lease = (identity: string, more: KubernetesLeaseOptions = {}) =>
    kubernetesLease(api, { ...TIMES, identity, logger: options.logger, ...more });
  const spec = () => cluster.server.get("coordination.k8s.io/v1", "Lease", "leader", "istio-system")?.spec as Spec;
  /** The next renewal is taken and never answered. */
  const loseOneAnswer = () => {
    const lost = Promise.withResolvers<void>();
    const restore = cluster.server.fault(({ verb, plural }) => {
      if (verb !== "update" || plural !== "leases") return undefined;
      restore();
      lost.resolve();
      return "hang";
    });
    return lost.promise;
  };
  return { ...cluster, scopeOfTest, lease, spec, loseOneAnswer };
}
/** So long that nothing of a test waits for it. */
const NEVER = { durationMs: 3_600_000, lostMs: 3_000_000 };
interface Spec {
  readonly holderIdentity: string;
  readonly leaseTransitions: number;
  readonly renewTime: string;
}
const aborted = (signal: AbortSignal) =>
  new Promise<unknown>((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });

describe("a Lease", () => {
  it("has one holder at a time; its token grows from holder to holder", async () => {
    const { lease, scopeOfTest, spec } = await leasing();
    const [first, second] = [scopeOfTest(), scopeOfTest()];
    const held = await lease("a").acquire(first, "leader");
    const waiting = lease("b").acquire(second, "leader");
    expect(await Promise.race([waiting, Promise.resolve("waits")])).toBe("waits");
    expect(spec()).toMatchObject({ holderIdentity: "a", leaseTransitions: held.fencingToken });
    await first.close();
    expect(held.lost.aborted).toBe(true);
    expect((await waiting).fencingToken).toBe(held.fencingToken + 1);
    expect(spec().holderIdentity).toBe("b");
  });

  it("of a holder that was killed is another's when it was not renewed for its time", async () => {
    const { lease, scopeOfTest, server, spec } = await leasing();
    server.apply({
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "leader", namespace: "istio-system" },
      // The clock of who died was ahead of ours.
      spec: { holderIdentity: "dead", leaseDurationSeconds: 1, leaseTransitions: 7, renewTime: "2099-01-01T00:00:00Z" },
    });
    const began = performance.now();
    expect((await lease("b").acquire(scopeOfTest(), "leader")).fencingToken).toBe(8);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(spec().holderIdentity).toBe("b");
  });

  it("is renewed for as long as it is held", async () => {
    const { lease, scopeOfTest, spec } = await leasing();
    const held = await lease("a").acquire(scopeOfTest(), "leader");
    const before = spec().renewTime;
    await eventually("several renewals", async () => (spec().renewTime > before ? true : undefined));
    const again = spec().renewTime;
    await eventually("one more", async () => (spec().renewTime > again ? true : undefined));
    expect(held.lost.aborted).toBe(false);
    expect(spec().leaseTransitions).toBe(held.fencingToken);
  });

  it("is lost before it is another's when it cannot be renewed", async () => {
    const { lease, scopeOfTest, server } = await leasing();
    const scope = scopeOfTest();
    const { lost } = await lease("a").acquire(scope, "leader");
    const restore = server.fault(({ verb }) => (verb === "update" ? "hang" : undefined));
    expect(await aborted(lost)).toMatchObject({ message: expect.stringContaining("could not be renewed") });
    restore();
  });

  it("is lost when somebody else took it", async () => {
    const { lease, scopeOfTest, server, spec } = await leasing();
    const { lost } = await lease("a").acquire(scopeOfTest(), "leader");
    const found = server.get("coordination.k8s.io/v1", "Lease", "leader", "istio-system");
    server.apply({ ...found, spec: { ...(found?.spec as object), holderIdentity: "thief" } });
    expect(await aborted(lost)).toMatchObject({ message: "somebody else has the lease" });
    expect(spec().holderIdentity).toBe("thief");
  });

  it("stays when an answer of a renewal gets lost", async () => {
    const { lease, scopeOfTest, server, spec } = await leasing();
    const { lost } = await lease("a").acquire(scopeOfTest(), "leader");
    const found = server.get("coordination.k8s.io/v1", "Lease", "leader", "istio-system");
    // A new version that the holder has not heard of.
    server.apply({ ...found, spec: { ...(found?.spec as object), renewTime: "2026-01-01T00:00:00.000000Z" } });
    await eventually("a renewal", async () => (spec().renewTime > "2026-01-02" ? true : undefined));
    expect(lost.aborted).toBe(false);
  });

  it("is renewed while one renewal goes without an answer", async () => {
    const { lease, scopeOfTest, spec, loseOneAnswer } = await leasing();
    const { lost } = await lease("a", NEVER).acquire(scopeOfTest(), "leader");
    await loseOneAnswer();
    const before = spec().renewTime;
    await eventually("the next renewal", async () => (spec().renewTime > before ? true : undefined));
    expect(lost.aborted).toBe(false);
  });

  it("is renewed at once when the answer of the renewal before got lost", async () => {
    const { lease, scopeOfTest, server, spec } = await leasing();
    const clock = manualClock();
    const { lost } = await lease("a", { ...NEVER, renewMs: 1000, clock }).acquire(scopeOfTest(), "leader");
    const found = server.get("coordination.k8s.io/v1", "Lease", "leader", "istio-system");
    server.apply({ ...found, spec: { ...(found?.spec as object), renewTime: "2025-01-01T00:00:00.000000Z" } });
    clock.advance(1000);
    await eventually("the version is read", async () => {
      clock.advance(0);
      return spec().renewTime > "2025-01-02" ? true : undefined;
    });
    expect([clock.monotonic(), lost.aborted]).toEqual([1000, false]);
  });

  it("does not wait for the lists of a leader that begins", async () => {
    const { lease, scopeOfTest, server, api } = await leasing();
    const restore = server.fault(({ plural }) => (plural === "pods" ? "hang" : undefined));
    const given = new AbortController();
    const lists = Array.from({ length: 20 }, () =>
      api.request({ method: "GET", path: "/api/v1/pods", timeoutMs: NEVER.lostMs, signal: given.signal }),
    );
    const ended = Promise.allSettled(lists);
    onTestFinished(async () => {
      given.abort();
      await ended;
    });
    const { lost } = await lease("a", NEVER).acquire(scopeOfTest(), "leader");
    expect(lost.aborted).toBe(false);
    restore();
  });

  it("is taken at once by who took it and was not told", async () => {
    const { lease, scopeOfTest, server } = await leasing();
    server.apply({
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "leader", namespace: "istio-system" },
      spec: { holderIdentity: "a", leaseDurationSeconds: 3600, leaseTransitions: 7, renewTime: "2026-01-01T00:00:00Z" },
    });
    expect((await lease("a").acquire(scopeOfTest(), "leader")).fencingToken).toBe(8);
  });

  it("is given back at once while a renewal goes without an answer", async () => {
    const { lease, spec, loseOneAnswer } = await leasing();
    const scope = new Scope();
    const lost = loseOneAnswer();
    await lease("a", NEVER).acquire(scope, "leader");
    await lost;
    await scope.close();
    expect(spec().holderIdentity).toBe("");
  });

  it("is given back although the version is another than the holder knows", async () => {
    const { lease, server, spec } = await leasing();
    const scope = new Scope();
    await lease("a", { ...NEVER, renewMs: 3_000_000 }).acquire(scope, "leader");
    const found = server.get("coordination.k8s.io/v1", "Lease", "leader", "istio-system");
    server.apply({ ...found, spec: { ...(found?.spec as object), renewTime: "2026-01-01T00:00:00.000000Z" } });
    await scope.close();
    expect(spec().holderIdentity).toBe("");
  });

  it("holds nobody up that ends while the API server says nothing", async () => {
    const { lease, server } = await leasing();
    const scope = new Scope();
    await lease("a").acquire(scope, "leader");
    const restore = server.fault(() => "hang");
    // It ends at all: the limit is the test's own.
    await scope.close();
    restore();
  });

  it("is waited for while the API server is away", async () => {
    const { lease, scopeOfTest, server, logger } = await leasing();
    let failures = 4;
    server.fault(() => (failures-- > 0 ? { status: 503 } : undefined));
    await lease("a").acquire(scopeOfTest(), "leader");
    expect(logger.of("lease.failed")).not.toHaveLength(0);
  });

  it("is not waited for any more when the scope closes", async () => {
    const { lease, scopeOfTest } = await leasing();
    await lease("a").acquire(scopeOfTest(), "leader");
    const scope = new Scope();
    const outcome = expect(lease("b").acquire(scope, "leader")).rejects.toThrow();
    await scope.close();
    await outcome;
  });
});

describe("work of a leader", () => {
  it("goes on in another replica when the first ends, and never in both", async () => {
    const { lease, scopeOfTest } = await leasing();
    const active = new Set<string>();
    const turns: string[] = [];
    const replica = (name: string, scope: Scope) =>
      whileLeading({ lease: lease(name), name: "leader", scope }, async (turn) => {
        expect([...active]).toEqual([]);
        active.add(name);
        turns.push(name);
        turn.defer(() => void active.delete(name));
      });
    const first = scopeOfTest();
    replica("a", first);
    await eventually("a leads", async () => (turns.includes("a") ? true : undefined));
    replica("b", scopeOfTest());
    await first.close();
    await eventually("b leads", async () => (turns.includes("b") ? true : undefined));
    expect(turns).toEqual(["a", "b"]);
  });

  it("that fails is tried again", async () => {
    const { lease, scopeOfTest } = await leasing();
    let turns = 0;
    whileLeading({ lease: lease("a"), name: "leader", scope: scopeOfTest() }, async () => {
      if (++turns === 1) throw new Error("no");
    });
    await eventually("a second turn", async () => (turns >= 2 ? true : undefined));
  });
});
