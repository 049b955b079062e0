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

/** Established TCP connections of a process to this port, over IPv4 (Linux). */
export function connectionsTo(pid: number, port: number): number {
  const sockets = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  const to = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync(`/proc/${pid}/net/tcp`, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , peer, state, , , , , , socket = ""]) => peer?.endsWith(to) && state === "01" && sockets.has(socket))
    .length;
}

/** What a process was given for an option. */
export function optionOf(pid: number, name: string): string | undefined {
  const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  const at = argv.indexOf(`--${name}`);
  return at < 0 ? undefined : argv[at + 1];
}
