/** Starts the programs of a benchmark and makes sure that none outlives it. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";

/** `taskset` prefix for one core, or nothing on a machine with a single core. @param {number} core */
export const pinTo = (core) =>
  process.platform === "linux" && availableParallelism() > 1 ? ["taskset", "-c", String(core)] : [];

export class Children {
  /** @type {import("node:child_process").ChildProcess[]} */
  #children = [];
  folder = mkdtempSync(join(tmpdir(), "lateen-bench-"));

  /** @param {readonly string[]} argv @param {{ env?: Record<string, string>, cwd?: string }} [options] */
  start(argv, { env = {}, cwd } = {}) {
    const child = spawn(argv[0], argv.slice(1), {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
      cwd,
    });
    let tail = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => (tail = (tail + chunk).slice(-4_000)));
    child.on("error", (error) => (tail += error.message));
    this.#children.push(child);
    return {
      pid: child.pid ?? 0,
      exited: () => child.exitCode !== null || child.signalCode !== null,
      tail: () => tail,
    };
  }

  /** Ends one of them. @param {number} pid */
  async stopOne(pid) {
    const child = this.#children.find((one) => one.pid === pid);
    if (child !== undefined) await ended(child);
  }

  async stop() {
    await Promise.all(this.#children.map(ended));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** @param {import("node:child_process").ChildProcess} child */
function ended(child) {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve(undefined);
    const force = setTimeout(() => child.kill("SIGKILL"), 5_000);
    child.on("exit", () => {
      clearTimeout(force);
      resolve(undefined);
    });
    child.kill("SIGTERM");
  });
}

/** Resolves once something accepts on the port; rejects after 15 s or when `child` is gone. */
export async function waitForPort(port, child, host = "127.0.0.1") {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const open = await new Promise((resolve) => {
      const socket = connect({ port, host }, () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (open) return;
    if (child.exited() || Date.now() > deadline)
      throw new Error(`nothing listens on ${host}:${port}:\n${child.tail()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
