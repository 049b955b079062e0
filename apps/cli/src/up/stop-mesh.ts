import { LateenError } from "@lateen/kernel";
import { meshPid, reapLeftovers } from "@lateen/local-runtime";
import { type Cli, stateOf } from "../cli.ts";
import { meshUnavailable } from "../errors.ts";
import { MeshClient } from "../mesh/client.ts";

/** Longest orderly end: applications have their grace period, proxies drain. */
const PATIENCE_MS = 45_000;

/** Asks the supervisor to end and waits until it has. Without one, ends what an earlier one left behind. */
export async function stopMesh(cli: Cli, name: string): Promise<void> {
  const state = stateOf(cli, name);
  const pid = meshPid(state);
  try {
    await new MeshClient(cli, name).post("/shutdown", {});
  } catch (error) {
    if (!(error instanceof LateenError) || error.code !== "LTN7006") throw error;
    if (pid === undefined) {
      const ended = reapLeftovers(state.processesFile);
      cli.err(
        ended.length === 0
          ? `mesh "${name}" is not running\n`
          : `mesh "${name}" was not running; ended ${ended.length} processes it had left behind\n`,
      );
      return;
    }
    // It runs but does not answer yet, or any more.
    process.kill(pid, "SIGTERM");
  }
  if (pid !== undefined) await waitForEnd(pid, () => meshPid(state) === pid);
  cli.err(`mesh "${name}" is stopped\n`);
}

async function waitForEnd(pid: number, alive: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (alive()) {
    if (performance.now() > deadline) {
      throw meshUnavailable(`the mesh is still ending after ${PATIENCE_MS / 1000} s (process ${pid})`);
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}
