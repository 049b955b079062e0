import { call, killAll, type Mesh, sampleRule, startLoad } from "@lateen/e2e-embedded";
import { eventually, type RedisServer } from "@lateen/test-support";
import { PATIENCE_MS } from "./components.ts";
import { type Kind, NATS, PATH } from "./separate.ts";

/** Resolves when every proxy has the newest configuration. */
export function allSynced(mesh: Mesh): Promise<true> {
  return eventually(
    "all are ready and synced",
    async () => {
      const { ready, workloads } = await mesh.status();
      return ready && workloads.every((one) => one.synced) ? true : undefined;
    },
    PATIENCE_MS,
  );
}

/** Resolves when requests are counted in Redis. */
export async function countedAgain(mesh: Mesh, redis: RedisServer | undefined): Promise<void> {
  if (redis === undefined) return;
  await eventually(
    "the gateway is told what is left",
    async () => ((await call(mesh.url(PATH))).headers["x-ratelimit-remaining"] === undefined ? undefined : true),
    PATIENCE_MS,
  );
}

/** Resolves when a rule that is written now is in force, and out of it again. */
export async function takesChanges(mesh: Mesh): Promise<void> {
  for (const [rule, status] of [
    ["ratings-abort", 500],
    [undefined, 200],
  ] as const) {
    await mesh.write("recovered.yaml", rule === undefined ? undefined : await sampleRule(rule));
    await eventually(
      `the tester gets ${status}`,
      async () => {
        const answer = await call(mesh.url("/api/v1/products/0/ratings"), { headers: { "end-user": "tester" } });
        return answer.status === status ? true : undefined;
      },
      PATIENCE_MS,
    );
  }
}

/** Writes down what came of a load, for `docs/reliability.md`. */
export function report(title: string, { total, failures }: Pick<Absence, "total" | "failures">): void {
  process.stdout.write(`${title}: ${total} requests, ${failures.length} failed\n`);
}

/** What happened to requests while all of one kind were gone, and until everything was as before. */
export interface Absence {
  readonly total: number;
  readonly failures: readonly string[];
  /** Processes that were ended: whatever was started again meanwhile, too. */
  readonly kills: number;
}

/** Keeps all of these kinds down for a time, under load, and waits until they are back. */
export async function absence(
  mesh: Mesh,
  redis: RedisServer | undefined,
  kinds: readonly Kind[],
  options: { readonly downMs: number; readonly perSecond?: number },
): Promise<Absence> {
  const { downMs, ...pace } = options;
  await allSynced(mesh);
  await countedAgain(mesh, redis);
  using load = startLoad(mesh.url(PATH), { parallel: 4, ...pace });
  let kills = 0;
  if (kinds.includes("redis")) await redis?.kill();
  const until = performance.now() + downMs;
  await eventually(
    "the time of the outage to pass",
    async () => {
      for (const kind of kinds)
        if (kind !== "redis") kills += killAll(kind === "nats" ? NATS : `apps/${kind}/`, mesh.state);
      // On a slow machine the outage lasts until there was something to lose.
      return performance.now() > until && load.total() > 100 ? true : undefined;
    },
    downMs + 120_000,
    50,
  );
  if (kinds.includes("redis")) await redis?.resume();
  await allSynced(mesh);
  await countedAgain(mesh, redis);
  await takesChanges(mesh);
  return { ...(await load.stop()), kills };
}
