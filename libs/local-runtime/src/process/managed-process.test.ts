import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ManualClock, manualClock } from "@lateen/test-support";
import { afterEach, beforeEach, expect, it } from "vitest";
import { containerRestarts } from "./backoff.ts";
import { listedProcesses, ProcessLedger } from "./ledger.ts";
import { ManagedProcess, type ManagedProcessOptions, type ProcessExit } from "./managed-process.ts";
import { startTimeOf } from "./start-time.ts";

let folder: string;
let clock: ManualClock;
const running: ManagedProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lateen-process-"));
  clock = manualClock();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop(0).then(() => clock.advance(1))));
  rmSync(folder, { recursive: true });
});

/** A managed process with its events as a stream that can be waited for. */
function managed(argv: readonly string[], options: Partial<ManagedProcessOptions> = {}) {
  const events: (ProcessExit | "started" | `line ${string}`)[] = [];
  let wake = () => {};
  const add = (event: (typeof events)[number]) => {
    events.push(event);
    wake();
  };
  const process_ = new ManagedProcess({
    name: "test",
    kind: "foreign",
    spec: async () => ({ argv, env: { PATH: process.env.PATH ?? "" } }),
    restarts: containerRestarts,
    clock,
    ledger: new ProcessLedger(join(folder, "processes.json")),
    setpriv: undefined,
    onLine: (stream, line) => add(`line ${stream} ${line}`),
    onStart: () => add("started"),
    onExit: add,
    ...options,
  });
  running.push(process_);
  const next = async () => {
    while (events.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return events.shift();
  };
  return { process: process_, next };
}

it("hands on lines and the exit code, and starts again after the back-off", async () => {
  const { process: one, next } = managed(["sh", "-c", "echo out; echo err >&2; exit 3"]);
  one.start();
  const seen = new Set([await next(), await next(), await next()]);
  expect(seen).toEqual(new Set(["started", "line stdout out", "line stderr err"]));
  expect(await next()).toEqual({ code: 3, signal: null, restartInMs: 200 });
  clock.advance(199);
  expect(one.restarts).toBe(0);
  clock.advance(1);
  expect(one.restarts).toBe(1);
  expect(await next()).toBe("started");
});

it("waits longer after every failure, and forgets after a long run", async () => {
  const { process: one, next } = managed(["false"]);
  one.start();
  const delays: (number | undefined)[] = [];
  for (let round = 0; round < 3; round++) {
    expect(await next()).toBe("started");
    const exit = await next();
    delays.push(typeof exit === "object" ? exit.restartInMs : undefined);
    clock.advance(delays.at(-1) ?? 0);
  }
  expect(delays).toEqual([200, 10_000, 20_000]);
});

it("tells why a program cannot be started, and tries again", async () => {
  const { process: one, next } = managed([join(folder, "nothing")]);
  one.start();
  const exit = await next();
  expect(exit).toMatchObject({ code: null, restartInMs: 200 });
  expect(typeof exit === "object" ? exit.error : "").toContain("ENOENT");
});

it("does not start again what was stopped, and kills what ignores SIGTERM", async () => {
  const { process: one, next } = managed(["sh", "-c", 'trap "" TERM; echo ready; while :; do sleep 1; done']);
  one.start();
  expect(await next()).toBe("started");
  expect(await next()).toBe("line stdout ready");
  const stopped = one.stop(5_000);
  clock.advance(5_000);
  await stopped;
  expect(await next()).toMatchObject({ signal: "SIGKILL", restartInMs: undefined });
  one.start();
  expect(one.pid).toBeUndefined();
});

it("takes the whole process group with it", async () => {
  const { process: one, next } = managed(["sh", "-c", "sleep 600 & echo $!; wait"]);
  one.start();
  const events = [await next(), await next()];
  const line = events.find((event) => typeof event === "string" && event.startsWith("line"));
  const grandchild = Number(String(line).split(" ").at(-1));
  expect(startTimeOf(grandchild)).toBeDefined();
  one.kill("SIGKILL");
  await next();
  expect(await gone(grandchild)).toBe(true);
});

it("keeps the list of what runs up to date", async () => {
  const { process: one, next } = managed(["sleep", "600"]);
  const listed = () => listedProcesses(join(folder, "processes.json"));
  one.start();
  await next();
  expect(listed().map(({ pid }) => pid)).toEqual([one.pid]);
  await one.stop(1_000);
  expect(listed()).toEqual([]);
});

/** Whether a process disappears; its killer does not wait for it. */
async function gone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    if (startTimeOf(pid) === undefined) return true;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return false;
}
