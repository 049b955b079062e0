import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listedProcesses, ProcessLedger, reapLeftovers } from "./ledger.ts";
import { startTimeOf } from "./start-time.ts";
import { lockHolder, lockState } from "./supervisor-lock.ts";

let folder: string;
let file: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lateen-ledger-"));
  file = join(folder, "processes.json");
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

function sleeper(): ChildProcess & { readonly pid: number } {
  const child = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
  children.push(child);
  if (child.pid === undefined) throw new Error("sleep did not start");
  return child as ChildProcess & { readonly pid: number };
}

describe("reapLeftovers", () => {
  it("ends what a killed supervisor left running, and names it", async () => {
    const child = sleeper();
    new ProcessLedger(file).add(child.pid, "container web of default/web-1");
    const exit = once(child, "exit");
    expect(reapLeftovers(file)).toEqual(["container web of default/web-1"]);
    expect(await exit).toEqual([null, "SIGKILL"]);
    expect(existsSync(file)).toBe(false);
  });

  it("leaves a process alone that only has the same id", () => {
    const child = sleeper();
    writeFileSync(file, JSON.stringify({ pid: child.pid, started: "1", name: "somebody else" }));
    expect(reapLeftovers(file)).toEqual([]);
    expect(startTimeOf(child.pid)).toBeDefined();
  });

  it.each(["", "{", "[1, {}]", '{"pid": 1, "started": "0", "name": "init"}', '{"ended": "x"}\n{"pid":'])(
    "survives a file with %j",
    (text) => {
      writeFileSync(file, text);
      expect(reapLeftovers(file)).toEqual([]);
    },
  );

  it("finds nothing to do without a file", () => {
    expect(reapLeftovers(file)).toEqual([]);
  });

  it("does not touch what ended by itself and was taken off the list", () => {
    const ledger = new ProcessLedger(file);
    const [one, other] = [sleeper(), sleeper()];
    ledger.add(one.pid, "one");
    ledger.add(other.pid, "other");
    ledger.remove(one.pid);
    expect(listedProcesses(file).map(({ name }) => name)).toEqual(["other"]);
    ledger.remove(other.pid);
    expect(readFileSync(file, "utf8")).toBe("");
  });
});

describe("the lock of a state directory", () => {
  it("is held by one supervisor until it lets go", () => {
    const lock = lockState(file);
    expect(lockHolder(file)).toBe(process.pid);
    expect(lockState(file)).toBeUndefined();
    lock?.release();
    expect(lockHolder(file)).toBeUndefined();
    expect(lockState(file)).toBeDefined();
  });

  it("is taken over from a dead one, also when its process id is in use again", () => {
    writeFileSync(file, JSON.stringify({ pid: process.pid, started: "1" }));
    expect(lockHolder(file)).toBeUndefined();
    expect(lockState(file)).toBeDefined();
  });
});
