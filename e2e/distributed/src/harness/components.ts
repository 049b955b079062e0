import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { call, type Mesh, pidsOf } from "@lateen/e2e-embedded";
import { eventually } from "@lateen/test-support";

/** How long anything may take on a slow machine. */
export const PATIENCE_MS = 120_000;

/** The galley that has said where it distributes configuration. */
export async function leaderOf(mesh: Mesh): Promise<string> {
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
export async function overNats(mesh: Mesh): Promise<void> {
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

/** Where a component listens, by option. */
export async function portsOf(mesh: Mesh, name: string): Promise<Readonly<Record<string, number>>> {
  return JSON.parse(await readFile(join(mesh.state, "components", name, "ports.json"), "utf8"));
}

/** Port of the mesh's own NATS. */
export async function natsPort(mesh: Mesh): Promise<number> {
  const config = await readFile(join(mesh.state, "nats", "server.conf"), "utf8");
  return Number(/listen: "127\.0\.0\.1:(\d+)"/.exec(config)?.[1]);
}
