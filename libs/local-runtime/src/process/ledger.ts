import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { startTimeOf } from "./start-time.ts";

interface LedgerEntry {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot, so that a recycled pid is not taken for ours. */
  readonly started: string;
  readonly name: string;
}

/**
 * The list of process groups that were started, kept in a file. When the supervisor itself is killed, the next `up` or `down`
 * ends what is left by this list.
 */
export class ProcessLedger {
  readonly #file: string;
  readonly #entries = new Map<number, LedgerEntry>();

  constructor(file: string) {
    this.#file = file;
  }

  add(pid: number, name: string): void {
    const started = startTimeOf(pid);
    if (started === undefined) return;
    this.#entries.set(pid, { pid, started, name });
    this.#save();
  }

  remove(pid: number): void {
    if (this.#entries.delete(pid)) this.#save();
  }

  #save(): void {
    const temporary = `${this.#file}.tmp`;
    writeFileSync(temporary, JSON.stringify([...this.#entries.values()]), { mode: 0o600 });
    renameSync(temporary, this.#file);
  }
}

/** Ends every process group of the file that is still alive and removes the file. Returns the names of what was ended. */
export function reapLeftovers(file: string): readonly string[] {
  const ended: string[] = [];
  for (const entry of readLedger(file)) {
    if (startTimeOf(entry.pid) === entry.started && killGroup(entry.pid, "SIGKILL")) ended.push(entry.name);
  }
  rmSync(file, { force: true });
  return ended;
}

/** Signals a process group; false when it is gone. */
export function killGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

function readLedger(file: string): readonly LedgerEntry[] {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
    return Array.isArray(parsed) ? parsed.filter(isEntry) : [];
  } catch {
    return [];
  }
}

function isEntry(value: unknown): value is LedgerEntry {
  return (
    typeof value === "object" &&
    value !== null &&
    "pid" in value &&
    typeof value.pid === "number" &&
    value.pid > 1 &&
    "started" in value &&
    typeof value.started === "string" &&
    "name" in value &&
    typeof value.name === "string"
  );
}
