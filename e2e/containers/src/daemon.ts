import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ensureService } from "@lateen/services";
import { eventually } from "@lateen/test-support";

const DAEMON_MS = 120_000;

/** Docker's daemon while it runs. */
export interface Daemon {
  /** For `DOCKER_HOST`. */
  readonly host: string;
  stop(): Promise<void>;
}

/** Debian's daemon with all of its state in this folder. @returns undefined when it refuses; its log is shown then. */
export async function startDaemon(folder: string): Promise<Daemon | undefined> {
  const docker = ensureService("docker", { install: false });
  if (docker.path === undefined) return undefined;
  const socket = join(folder, "docker.sock");
  const log = join(folder, "log");
  const file = openSync(log, "w");
  const places = ["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec"), "-p", join(folder, "pid")];
  const daemon = spawn(docker.path, [...places, "-H", `unix://${socket}`], { stdio: ["ignore", file, file] });
  closeSync(file);
  try {
    await eventually("Docker's daemon answers", async () => answers(daemon, socket), DAEMON_MS, 100);
  } catch (error) {
    process.stdout.write(`${(error as Error).message}; its log:\n${readFileSync(log, "utf8")}`);
    daemon.kill("SIGKILL");
    return undefined;
  }
  return {
    host: `unix://${socket}`,
    stop: async () => {
      if (daemon.exitCode !== null) return;
      const ended = once(daemon, "exit");
      daemon.kill("SIGTERM");
      await ended;
    },
  };
}

function answers(daemon: ChildProcess, socket: string): true | undefined {
  if (daemon.exitCode !== null) throw new Error(`it ended with ${daemon.exitCode}`);
  const asked = spawnSync("curl", ["-sf", "--unix-socket", socket, "http://docker/_ping"], { encoding: "utf8" });
  return asked.stdout === "OK" ? true : undefined;
}
