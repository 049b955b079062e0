import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { absence, report } from "./harness/absence.ts";
import { KINDS, startSeparate } from "./harness/separate.ts";

const DOWN_S = Number(process.env.LATEEN_OUTAGE_SECONDS ?? 600);
/** Enough to see a gap of a moment, and little enough for several meshes at a time. */
const PER_SECOND = 50;

/** Texts of the log lines with this event, of all processes of a mesh. */
async function logged(state: string, event: string): Promise<readonly string[]> {
  const folder = join(state, "logs");
  const texts = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "utf8")));
  return texts.flatMap((text) => text.split("\n")).filter((line) => line.includes(`"event":"${event}"`));
}

/** What is gone: one kind, or all that a mesh is made of. */
const ABSENCES = [...KINDS.map((kind) => [kind, [kind]] as const), ["control plane, NATS and Redis", KINDS] as const];

// Each in a mesh of its own, several at a time (`maxConcurrency`): one after the other they would take more than an hour.
describe(`all of one kind are gone for ${DOWN_S} s`, { timeout: 600_000 + 1_000 * DOWN_S }, () => {
  it.concurrent.each(ABSENCES)("no %s: nothing is lost, and what was missed is made up for", async (title, kinds) => {
    // Half of a certificate's life ends while nobody renews it, and the other half after that.
    const env: Record<string, string> = title === "citadel" ? { LATEEN_CERT_TTL: `${Math.round(DOWN_S * 1.6)}s` } : {};
    const { mesh, redis } = await startSeparate(env);
    onTestFinished(async () => {
      await mesh.down();
      await redis?.stop();
    });
    const { kills, ...came } = await absence(mesh, redis, kinds, {
      downMs: 1_000 * DOWN_S,
      perSecond: PER_SECOND,
    });
    report(`no ${title} for ${DOWN_S} s`, came);
    expect(came.failures).toEqual([]);
    if (title !== "redis") expect(kills).toBeGreaterThanOrEqual(2);
    if (title !== "citadel") return;
    const late = await logged(mesh.state, "certificate.renewal_failed");
    expect(late.length).toBeGreaterThan(0);
    expect(late.filter((line) => line.includes('"expired":true'))).toEqual([]);
  });
});
