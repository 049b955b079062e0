import { cp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { call, fullCounts, killAll, type Mesh, pidsOf, prepareMesh, sampleRule, startLoad } from "@lateen/e2e-embedded";
import { eventually, natsServerPath } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ExtraPilot, Observer, tokenOf } from "./harness/extra-pilot.ts";

/** How long all of one kind are kept down, in milliseconds. */
const DOWN_MS = fullCounts ? 60_000 : 3_000;
const COMPONENTS = ["pilot", "galley", "citadel", "mixer"] as const;
const nats = natsServerPath();
const KINDS = [...COMPONENTS, ...(nats.path === undefined ? [] : (["nats"] as const))];
/** What the command lines of its processes have in common. */
const NATS = "nats/server.conf";
const PATIENCE_MS = 120_000;

describe("a mesh of separate components, two of each", { timeout: 600_000 }, () => {
  let mesh: Mesh;
  beforeAll(async () => {
    if (nats.path !== undefined) process.env.LATEEN_NATS_SERVER = nats.path;
    mesh = await prepareMesh();
    const carrier = nats.path === undefined ? "off" : "local";
    await mesh.up("--control-plane", "separate", "--replicas", "2", "--nats", carrier, "--timeout", "180s");
  }, 240_000);
  afterAll(() => mesh?.down());

  const placeOf = (name: string) => (name === "nats" ? NATS : `components/${name}/ports.json`);
  const pidOf = (name: string) => pidsOf(placeOf(name), mesh.state)[0];
  const settled = () =>
    eventually(
      "all are ready and synced",
      async () => {
        const { ready, workloads } = await mesh.status();
        return ready && workloads.every((one) => one.synced) ? true : undefined;
      },
      PATIENCE_MS,
    );
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
    const statuses = await mesh.ok("proxy-status");
    expect(statuses).toContain("pilot-1");
    expect(statuses).toContain("pilot-2");
    expect(await mesh.ok("logs", "pilot-2")).toContain("pilot.serving");
  });

  it("loses no request whichever process is killed, and no proxy sees a change", async () => {
    await settled();
    const before = await held("details-v1");
    expect(before.length).toBeGreaterThan(10);
    const load = startLoad(mesh.url("/api/v1/products/0"), { parallel: 4 });
    for (const kind of KINDS) {
      for (const replica of fullCounts && kind !== "nats" ? [1, 2] : [1]) {
        const name = kind === "nats" ? kind : `${kind}-${replica}`;
        const pid = pidOf(name);
        expect(killAll(placeOf(name), mesh.state)).toBe(1);
        await eventually(
          `${name} is started again`,
          async () => (pidOf(name) !== undefined && pidOf(name) !== pid ? true : undefined),
          PATIENCE_MS,
        );
        await settled();
      }
    }
    expect((await load.stop()).failures).toEqual([]);
    expect(await held("details-v1")).toEqual(before);
  });

  it.each(KINDS)("loses no request while there is no %s at all", async (kind) => {
    await settled();
    const load = startLoad(mesh.url("/api/v1/products/0"), { parallel: 4 });
    let kills = 0;
    const until = performance.now() + DOWN_MS;
    await eventually(
      "the time of the outage to pass",
      async () => {
        kills += killAll(kind === "nats" ? NATS : `apps/${kind}/`, mesh.state);
        // On a slow machine the outage lasts until there was something to lose.
        return performance.now() > until && load.total() > 100 ? true : undefined;
      },
      DOWN_MS + 120_000,
      50,
    );
    expect(kills).toBeGreaterThanOrEqual(2);
    await settled();
    expect((await load.stop()).failures).toEqual([]);
  });

  it.skipIf(nats.path === undefined)(
    "loses no request and no change while NATS is frozen, wiped, or set back to an older backup",
    async () => {
      await settled();
      const load = startLoad(mesh.url("/api/v1/products/0"), { parallel: 4 });
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
      expect((await load.stop()).failures).toEqual([]);
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
    expect(killAll(`components/${leader}/ports.json`, mesh.state)).toBe(1);
    await mesh.write("rule.yaml", await sampleRule("ratings-abort"));
    const tester = { headers: { "end-user": "tester" } };
    await eventually(
      "the rule of the file is live",
      async () => ((await call(mesh.url("/api/v1/products/0/ratings"), tester)).status === 500 ? true : undefined),
      PATIENCE_MS,
    );
    expect(await leaderOf(mesh)).not.toBe(leader);
    await mesh.write("own/reviews.yaml", await sampleRule("all-v1"));
    await mesh.write("rule.yaml", undefined);
    await eventually(
      "the file's rule is gone",
      async () => ((await call(mesh.url("/api/v1/products/0/ratings"), tester)).status === 200 ? true : undefined),
      PATIENCE_MS,
    );
  });
});

/** The galley that has said where it distributes configuration. */
async function leaderOf(mesh: Mesh): Promise<string> {
  return eventually(
    "a galley leads",
    async () => {
      for (const name of ["galley-1", "galley-2"]) {
        const ports = JSON.parse(await readFile(join(mesh.state, "components", name, "ports.json"), "utf8"));
        const pids = pidsOf(`components/${name}/ports.json`, mesh.state);
        if (ports.config !== undefined && pids.includes(ports.pid)) return name;
      }
      return undefined;
    },
    PATIENCE_MS,
  );
}

/** Resolves when every pilot has over NATS what galley published there. */
async function overNats(mesh: Mesh): Promise<void> {
  const facts = async (name: string): Promise<string> => {
    const { metrics } = JSON.parse(await readFile(join(mesh.state, "components", name, "ports.json"), "utf8"));
    const { body } = await call(`http://127.0.0.1:${metrics}/metrics`);
    return [...body.matchAll(/^lateen_nats_state_(\w+)\{topic="config"\} (\d+)$/gm)]
      .map((all) => `${all[1]} ${all[2]}`)
      .join(", ");
  };
  await eventually(
    "pilots follow over NATS",
    async () => {
      const leader = await leaderOf(mesh);
      const [published, ...followed] = await Promise.all([leader, "pilot-1", "pilot-2"].map(facts));
      if (published === undefined || !published.includes("current 1")) throw new Error(published);
      if (followed.some((one) => one !== published)) throw new Error(`${published}; ${followed.join("; ")}`);
      return true;
    },
    PATIENCE_MS,
  );
}

async function portsOf(mesh: Mesh, name: string): Promise<Readonly<Record<string, number>>> {
  return JSON.parse(await readFile(join(mesh.state, "components", name, "ports.json"), "utf8"));
}

async function natsPort(mesh: Mesh): Promise<number> {
  const config = await readFile(join(mesh.state, "nats", "server.conf"), "utf8");
  return Number(/listen: "127\.0\.0\.1:(\d+)"/.exec(config)?.[1]);
}
