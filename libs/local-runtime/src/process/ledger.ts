import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { startTimeOf } from "./start-time.ts";

/** A process that was started. */
export interface LedgerEntry {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot, so that a recycled pid is not taken for ours. */
  readonly started: string;
  readonly name: string;
}

/**
 * The list of process groups that were started, kept in a file. When the supervisor itself is killed, the next `up` or `down`
 * ends what is left by this list. One line is added for each start and each end: a line is either there or not, whenever we are killed.
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
    const entry = { pid, started, name };
    this.#entries.set(pid, entry);
    this.#append(entry);
  }

  remove(pid: number): void {
    if (!this.#entries.delete(pid)) return;
    // With nothing running there is nothing to remember, so the file does not grow for ever.
    if (this.#entries.size === 0) writeFileSync(this.#file, "", { mode: 0o600 });
    else this.#append({ ended: pid });
  }

  #append(line: unknown): void {
    appendFileSync(this.#file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
  }
}

/** The process groups that a file lists as running, in the order they were started. */
export function listedProcesses(file: string): readonly LedgerEntry[] {
  const entries = new Map<number, LedgerEntry>();
  for (const line of readLines(file)) {
    const value = parse(line);
    if (isEntry(value)) entries.set(value.pid, value);
    else if (typeof value === "object" && value !== null && "ended" in value) entries.delete(Number(value.ended));
  }
  return [...entries.values()];
}

/** Ends every process group of the file that is still alive and removes the file. Returns the names of what was ended. */
export function reapLeftovers(file: string): readonly string[] {
  const ended: string[] = [];
  for (const entry of listedProcesses(file)) {
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

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch {
    return [];
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
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
