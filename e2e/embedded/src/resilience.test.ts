import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, startLoad } from "./harness/http.ts";
import { fullCounts, type Mesh, startMesh } from "./harness/mesh.ts";
import { connectionsTo, killAll, optionOf, pidsOf } from "./harness/processes.ts";

/** How long the control plane is kept down, in milliseconds. */
const DOWN_MS = fullCounts ? 60_000 : 5_000;
/** How soon a killed sidecar must serve again: the target holds where nothing else runs. */
const BACK_MS = fullCounts ? 1_000 : 15_000;

describe("parts of the mesh die under load", () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
  });
  afterAll(() => mesh?.down());

  /** The versions of all resources that a proxy holds, as its admin port tells. */
  const held = async (address: string) => {
    const { body } = await call(`http://${address}:15000/config_dump`);
    return [...body.matchAll(/"version_info":\s*"([^"]*)"/g)].map((match) => match[1]).sort();
  };

  /** Connections of a pod's proxy to the control plane. */
  const toControlPlane = (pod: string): number => {
    const [pid = 0] = pidsOf("--run-dir", `default.${pod}`);
    return connectionsTo(pid, Number(optionOf(pid, "discovery-address")?.split(":").at(-1)));
  };

  it("loses no request while the control plane is down, and sees no change when it is back", async () => {
    await mesh.synced();
    const details = await mesh.pod("details-v1");
    const before = await held(details.address);
    expect(before.length).toBeGreaterThan(10);
    expect(toControlPlane(details.pod)).toBe(1);

    using load = startLoad(mesh.url("/api/v1/products/0"));
    let kills = 0;
    const until = performance.now() + DOWN_MS;
    await eventually(
      "the time of the outage to pass",
      async () => {
        kills += killAll("control-plane/", mesh.state);
        // On a slow machine the outage lasts until there was something to lose.
        return performance.now() > until && load.total() > 100 ? true : undefined;
      },
      DOWN_MS + 120_000,
      50,
    );
    expect(kills).toBeGreaterThan(0);
    expect((await load.stop()).failures).toEqual([]);

    using after = startLoad(mesh.url("/api/v1/products/0"));
    await eventually(
      "the control plane is back and all are synced",
      async () => {
        const { ready, workloads } = await mesh.status();
        return ready && workloads.every((one) => one.synced) ? true : undefined;
      },
      90_000,
    );
    expect((await after.stop()).failures).toEqual([]);
    expect(await held(details.address)).toEqual(before);
    // None of the attempts in vain has left a connection behind.
    expect(toControlPlane(details.pod)).toBe(1);
  });

  it("restarts a killed sidecar from its run directory while the control plane is down", async () => {
    const { pod } = await mesh.pod("details-v1");
    const outage = setInterval(() => killAll("control-plane/", mesh.state), 50);
    try {
      await eventually("the control plane is down", async () =>
        pidsOf("control-plane/", mesh.state).length === 0 ? true : undefined,
      );
      expect(killAll("--run-dir", `default.${pod}`)).toBe(1);
      await eventually("details answers again", async () => {
        const { status, body } = await call(mesh.url("/api/v1/products/0"));
        return status === 200 && body.includes("Richard Henry Dana") ? true : undefined;
      });
    } finally {
      clearInterval(outage);
    }
  });

  it("has a killed sidecar back at once, and its application goes on", async () => {
    await eventually("the control plane is back", async () => ((await mesh.status()).ready ? true : undefined), 90_000);
    const { pod } = await mesh.pod("details-v1");
    const applications = pidsOf("details.mjs", mesh.config);
    const took: number[] = [];
    let restUntil = 0;
    for (let i = 0; i < (fullCounts ? 5 : 1); i++) {
      // A process that ends soon after it was started waits longer before the next time.
      await eventually("it has run for a while", async () => (performance.now() > restUntil ? true : undefined));
      expect(killAll("--run-dir", `default.${pod}`)).toBe(1);
      const start = performance.now();
      await eventually(
        "details answers again",
        async () => ((await call(mesh.url("/api/v1/products/0"))).status === 200 ? true : undefined),
        60_000,
        20,
      );
      took.push(performance.now() - start);
      restUntil = performance.now() + 6_000;
    }
    expect(took.sort((a, b) => a - b)[Math.floor(took.length / 2)], took.join(", ")).toBeLessThan(BACK_MS);
    expect(pidsOf("details.mjs", mesh.config)).toEqual(applications);
  });

  it("starts a crashed application again behind the same sidecar", async () => {
    await eventually("the control plane is back", async () => ((await mesh.status()).ready ? true : undefined), 90_000);
    expect(killAll("details.mjs", mesh.config)).toBeGreaterThan(0);
    await eventually("details answers again", async () =>
      (await call(mesh.url("/api/v1/products/0"))).status === 200 ? true : undefined,
    );
  });
});
