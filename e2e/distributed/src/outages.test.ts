import { cp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { call, fullCounts, killAll, type Mesh, pidsOf, sampleRule, startLoad } from "@lateen/e2e-embedded";
import { eventually, type RedisServer } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { absence, allSynced, countedAgain, report } from "./harness/absence.ts";
import { leaderOf, natsPort, overNats, PATIENCE_MS, portsOf } from "./harness/components.ts";
import { ExtraPilot, Observer, tokenOf } from "./harness/extra-pilot.ts";
import { COMPONENTS, KINDS, NATS, nats, PATH, placeOf, startSeparate } from "./harness/separate.ts";
import { stockDeployment, stockFiles } from "./harness/stock.ts";

/** How long all of one kind are kept down, in milliseconds. */
const DOWN_MS = 1_000 * Number(process.env.LATEEN_OUTAGE_SECONDS ?? 3);
/** Of the workload that is rolled. */
const STOCK = fullCounts ? 10 : 3;

describe("a mesh of separate components, two of each", { timeout: 600_000 + DOWN_MS }, () => {
  let mesh: Mesh;
  let redis: RedisServer | undefined;
  beforeAll(async () => {
    ({ mesh, redis } = await startSeparate());
  }, 240_000);
  afterAll(async () => {
    await mesh?.down();
    await redis?.stop();
  });

  const pidOf = (name: string) => pidsOf(placeOf(name), mesh.state)[0];
  const settled = () => allSynced(mesh);
  const counted = () => countedAgain(mesh, redis);
  /** The versions of all resources that a proxy holds, as its admin port tells. */
  const held = async (workload: string) => {
    const { address } = await mesh.pod(workload);
    const { body } = await call(`http://${address}:15000/config_dump`);
    return [...body.matchAll(/"version_info":\s*"([^"]*)"/g)].map((match) => match[1]).sort();
  };

  it("serves the sample, every component in processes of its own", async () => {
    await settled();
    for (const kind of COMPONENTS) for (const replica of [1, 2]) expect(pidOf(`${kind}-${replica}`)).toBeDefined();
    const { status, body } = await call(mesh.url("/productpage"));
    expect([status, body.includes("Book Details")]).toEqual([200, true]);
    // Each proxy is at the pilot that was there first for it: all of them may be at one.
    const { workloads } = await mesh.status();
    const statuses = await mesh.ok("proxy-status");
    expect(statuses.match(/ SYNCED +pilot-[12] /g)?.length).toBeGreaterThanOrEqual(workloads.length);
    for (const pilot of ["pilot-1", "pilot-2"]) expect(await mesh.ok("logs", pilot)).toContain("pilot.serving");
  });

  it("loses no request whichever process is killed, and no proxy sees a change", async () => {
    await settled();
    const before = await held("details-v1");
    expect(before.length).toBeGreaterThan(10);
    await counted();
    using load = startLoad(mesh.url(PATH), { parallel: 4 });
    for (const kind of KINDS) {
      if (kind === "redis") {
        await redis?.kill();
        await redis?.resume();
        await counted();
        continue;
      }
      for (const replica of fullCounts && kind !== "nats" ? [1, 2] : [1]) {
        const name = kind === "nats" ? kind : `${kind}-${replica}`;
        // Once, on a machine at load 20, one of them had ended by itself before; why is not known, so it is told here.
        if (pidOf(name) === undefined)
          process.stdout.write(`${name} had ended: ${(await mesh.ok("logs", name)).slice(-2_000)}\n`);
        const pid = await eventually(`${name} is there`, async () => pidOf(name), PATIENCE_MS);
        expect(killAll(placeOf(name), mesh.state)).toBe(1);
        await eventually(
          `${name} is started again`,
          async () => (pidOf(name) !== undefined && pidOf(name) !== pid ? true : undefined),
          PATIENCE_MS,
        );
        await settled();
      }
    }
    const came = await load.stop();
    report("each process killed once", came);
    expect(came.failures).toEqual([]);
    expect(await held("details-v1")).toEqual(before);
  });

  it("loses no request while a workload is rolled: every pod and its sidecar", async () => {
    const replicas = async () => (await mesh.status()).workloads.filter(({ workload }) => workload === "stock");
    /** Resolves when there are as many as are wanted, all of them served and none of these. */
    const allBut = (others: readonly string[]) =>
      eventually(
        "all replicas are there, and no others",
        async () => {
          const all = await replicas();
          const good = all.every(({ pod, ready, synced }) => ready && synced && !others.includes(pod));
          return good && all.length === STOCK ? all.map(({ pod }) => pod) : undefined;
        },
        PATIENCE_MS,
      );
    for (const [name, text] of Object.entries(stockFiles)) await mesh.write(name, text);
    await mesh.write("stock-pods.yaml", stockDeployment(STOCK, "no"));
    const before = await allBut([]);
    const slow = { parallel: 4, headers: { connection: "close" } };
    using running = new DisposableStack();
    const loads = {
      "with a second attempt": running.use(startLoad(mesh.url("/stock"), { parallel: 4 })),
      "with one attempt": running.use(startLoad(mesh.url("/once"), { parallel: 4 })),
      "POST, with one attempt": running.use(startLoad(mesh.url("/once"), { parallel: 4, method: "POST" })),
      "that lasts longer than a pod's leave": running.use(startLoad(mesh.url("/once?ms=1500"), slow)),
    };
    await eventually("each kind was served", async () =>
      Object.values(loads).every((load) => load.total() > 4) ? true : undefined,
    );
    await mesh.write("stock-pods.yaml", stockDeployment(STOCK, "yes"));
    if (fullCounts) {
      const begun = async () => ((await replicas()).some(({ pod }) => !before.includes(pod)) ? true : undefined);
      await eventually("it has begun", begun, PATIENCE_MS);
      expect(killAll(placeOf("pilot-1"), mesh.state)).toBe(1);
    }
    await allBut(before);
    for (const [kind, load] of Object.entries(loads)) {
      const came = await load.stop();
      report(`${STOCK} replicas rolled, ${kind}`, came);
      expect([kind, came.failures]).toEqual([kind, []]);
    }
    for (const name of ["stock-pods.yaml", ...Object.keys(stockFiles)]) await mesh.write(name, undefined);
  });

  // With the full counts each kind is gone for much longer, in a mesh of its own: `absences.test.ts`.
  it.skipIf(fullCounts).each(KINDS)("loses no request while there is no %s at all", async (kind) => {
    const { failures, kills } = await absence(mesh, redis, [kind], { downMs: DOWN_MS });
    expect(failures).toEqual([]);
    if (kind !== "redis") expect(kills).toBeGreaterThanOrEqual(kind === "nats" ? 1 : 2);
  });

  it.skipIf(nats.path === undefined)(
    "loses no request and no change while NATS is frozen, wiped, or set back to an older backup",
    async () => {
      await settled();
      using load = startLoad(mesh.url(PATH), { parallel: 4 });
      const tester = { headers: { "end-user": "tester" } };
      const live = (status: number) =>
        eventually(
          `the tester gets ${status}`,
          async () =>
            (await call(mesh.url("/api/v1/products/0/ratings"), tester)).status === status ? true : undefined,
          PATIENCE_MS,
        );
      const data = join(mesh.state, "nats", "data");
      /** Ends the server with other data than it had; it is started again on that. */
      const restartOn = async (change: () => Promise<void>) => {
        const pid = pidOf("nats");
        if (pid !== undefined) process.kill(pid, "SIGSTOP");
        await change();
        killAll(NATS, mesh.state);
        await eventually(
          "NATS is started again",
          async () => (pidOf("nats") !== undefined && pidOf("nats") !== pid ? true : undefined),
          PATIENCE_MS,
        );
        await overNats(mesh);
      };
      await overNats(mesh);
      // A copy of a running server's files, as a careless backup is.
      await cp(data, `${data}-old`, { recursive: true });

      const frozen = pidOf("nats");
      if (frozen !== undefined) process.kill(frozen, "SIGSTOP");
      await mesh.write("nats-rule.yaml", await sampleRule("ratings-abort"));
      await live(500);
      if (frozen !== undefined) process.kill(frozen, "SIGCONT");
      await overNats(mesh);

      await restartOn(() => rm(data, { recursive: true }));
      await live(500);
      await restartOn(async () => {
        await rm(data, { recursive: true });
        await rename(`${data}-old`, data);
      });
      await live(500);
      await mesh.write("nats-rule.yaml", undefined);
      await live(200);
      await settled();
      const came = await load.stop();
      report("NATS frozen, wiped, set back", came);
      expect(came.failures).toEqual([]);
    },
  );

  it.skipIf(nats.path === undefined)(
    "two pilots that were cut off from each other, from NATS and from galley agree again, and no proxy goes back",
    async () => {
      await settled();
      const { config: galley } = await portsOf(mesh, await leaderOf(mesh));
      const { ca: citadel } = await portsOf(mesh, "citadel-1");
      const places = { galley: galley ?? 0, citadel: citadel ?? 0, nats: await natsPort(mesh) };
      const pilots = [await ExtraPilot.start(mesh, "pilot-a", places), await ExtraPilot.start(mesh, "pilot-b", places)];
      const observers: Observer[] = [];
      try {
        const token = await tokenOf(mesh, "default", "default", "observer");
        const rootPem = await readFile(join(mesh.state, "ca", "root-cert.pem"), "utf8");
        for (const pilot of pilots)
          observers.push(new Observer(mesh, await pilot.xds(PATIENCE_MS), { token, rootPem, route: "9080" }));
        const [a, b] = pilots;
        const [seenByA, seenByB] = observers;
        if (!a || !b || !seenByA || !seenByB) throw new Error("there are two of each");
        const next = async (observer: Observer, before: string | undefined) =>
          eventually(
            "a new version",
            async () => (observer.version !== before ? observer.version : undefined),
            PATIENCE_MS,
          );
        const first = await next(seenByA, undefined);
        expect(await next(seenByB, undefined)).toBe(first);
        // One is cut off from everything, and learns nothing.
        a.toGalley.cut();
        a.toNats.cut();
        await mesh.write("split.yaml", await sampleRule("ratings-delay"));
        const second = await next(seenByB, first);
        // The other from NATS: it asks galley.
        b.toNats.cut();
        await mesh.write("split.yaml", await sampleRule("ratings-abort"));
        const third = await next(seenByB, second);
        expect(seenByA.versions).toEqual([first]);
        const healedAt = performance.now();
        a.toGalley.heal();
        a.toNats.heal();
        b.toNats.heal();
        await eventually("they agree", async () => seenByA.version === third || undefined, PATIENCE_MS);
        if (fullCounts) expect(performance.now() - healedAt).toBeLessThan(10_000);
        await mesh.write("split.yaml", undefined);
        expect([await next(seenByA, third), await next(seenByB, third)]).toEqual([first, first]);
        expect(seenByB.versions).toEqual([first, second, third, first]);
        // What it saw of the time in between, if anything, was in order.
        expect([seenByB.versions, [first, third, first]]).toContainEqual(seenByA.versions);
      } finally {
        for (const observer of observers) await observer.close();
        for (const pilot of pilots) await pilot.close();
        await mesh.write("split.yaml", undefined);
      }
    },
  );

  it("takes the changes of files under a new leader", async () => {
    await settled();
    const leader = await leaderOf(mesh);
    const { pid: ended } = await portsOf(mesh, leader);
    expect(killAll(`components/${leader}/ports.json`, mesh.state)).toBe(1);
    await mesh.write("rule.yaml", await sampleRule("ratings-abort"));
    const tester = { headers: { "end-user": "tester" } };
    await eventually(
      "the rule of the file is live",
      async () => ((await call(mesh.url("/api/v1/products/0/ratings"), tester)).status === 500 ? true : undefined),
      PATIENCE_MS,
    );
    // Usually the other replica; on a busy machine the one that was killed may be back first.
    expect((await portsOf(mesh, await leaderOf(mesh))).pid).not.toBe(ended);
    await mesh.write("own/reviews.yaml", await sampleRule("all-v1"));
    await mesh.write("rule.yaml", undefined);
    await eventually(
      "the file's rule is gone",
      async () => ((await call(mesh.url("/api/v1/products/0/ratings"), tester)).status === 200 ? true : undefined),
      PATIENCE_MS,
    );
  });
});
