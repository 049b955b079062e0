import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { call, fullCounts, killAll, type Mesh, pidsOf, prepareMesh, sampleRule, startLoad } from "@lateen/e2e-embedded";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** How long all of one kind are kept down, in milliseconds. */
const DOWN_MS = fullCounts ? 60_000 : 3_000;
const KINDS = ["pilot", "galley", "citadel", "mixer"] as const;
const PATIENCE_MS = 120_000;

describe("a mesh of separate components, two of each", { timeout: 600_000 }, () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await prepareMesh();
    await mesh.up("--control-plane", "separate", "--replicas", "2", "--timeout", "180s");
  }, 240_000);
  afterAll(() => mesh?.down());

  const pidOf = (name: string) => pidsOf(`components/${name}/ports.json`, mesh.state)[0];
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
    for (const kind of KINDS) for (const replica of [1, 2]) expect(pidOf(`${kind}-${replica}`)).toBeDefined();
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
      for (const replica of fullCounts ? [1, 2] : [1]) {
        const name = `${kind}-${replica}`;
        const pid = pidOf(name);
        expect(killAll(`components/${name}/ports.json`, mesh.state)).toBe(1);
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
        kills += killAll(`apps/${kind}/`, mesh.state);
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
