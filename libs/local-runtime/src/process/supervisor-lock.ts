import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { isErrno } from "@lateen/runtime";
import { startTimeOf } from "./start-time.ts";

/** A held lock. */
export interface SupervisorLock {
  release(): void;
}

/**
 * Makes this process the only supervisor of a state directory. What a killed supervisor left is taken over.
 * @returns undefined when another one lives.
 */
export function lockState(file: string): SupervisorLock | undefined {
  for (let tries = 0; tries < 3; tries++) {
    try {
      writeFileSync(file, JSON.stringify({ pid: process.pid, started: startTimeOf(process.pid) }), {
        flag: "wx",
        mode: 0o600,
      });
      return { release: () => rmSync(file, { force: true }) };
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
      if (lockHolder(file) !== undefined) return undefined;
      rmSync(file, { force: true });
    }
  }
  return undefined;
}

/** The process that holds the lock; undefined when nobody does, or the holder is dead. */
export function lockHolder(file: string): number | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value !== "object" || value === null || !("pid" in value) || !("started" in value)) return undefined;
    const { pid, started } = value;
    return typeof pid === "number" && pid > 1 && startTimeOf(pid) === started ? pid : undefined;
  } catch {
    return undefined;
  }
}
