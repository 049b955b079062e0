import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Process ids whose command line and working directory hold all of these texts (Linux). */
export function pidsOf(...texts: readonly string[]): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const line = `${readFileSync(`/proc/${name}/cmdline`, "utf8")}\0${readlinkSync(`/proc/${name}/cwd`)}`;
        return Number(name) !== process.pid && texts.every((text) => line.includes(text));
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Kills every matching process, without mercy. @returns how many there were. */
export function killAll(...texts: readonly string[]): number {
  const pids = pidsOf(...texts);
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself.
    }
  }
  return pids.length;
}
