import { existsSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Scope, systemClock } from "@lateen/kernel";
import { expect, it, onTestFinished } from "vitest";
import { tempDir } from "../testing/temp-dir.ts";
import { fileLease } from "./file-lease.ts";

function scopeOfTest(): Scope {
  const scope = new Scope();
  onTestFinished(() => scope.close());
  return scope;
}

it("has one holder at a time; tokens grow from holder to holder", async () => {
  const dir = tempDir(onTestFinished);
  const [first, second] = [scopeOfTest(), scopeOfTest()];
  const held = await fileLease(dir, { intervalMs: 5 }).acquire(first, "leader");
  const waiting = fileLease(dir, { intervalMs: 5 }).acquire(second, "leader");
  expect(await Promise.race([waiting, Promise.resolve("waits")])).toBe("waits");
  expect(held.lost.aborted).toBe(false);
  await first.close();
  expect(held.lost.aborted).toBe(true);
  expect((await waiting).fencingToken).toBe(held.fencingToken + 1);
});

it("is taken over from a holder that died", async () => {
  const dir = tempDir(onTestFinished);
  writeFileSync(join(dir, "leader.lease"), JSON.stringify({ pid: 2 ** 22 - 1, started: "1" }));
  const clock = { ...systemClock(), now: () => 5000 };
  writeFileSync(join(dir, "leader.token"), "7");
  expect((await fileLease(dir, { clock }).acquire(scopeOfTest(), "leader")).fencingToken).toBe(8);
});

it("is not taken over from another process that lives under the same number since another time", async () => {
  const dir = tempDir(onTestFinished);
  // Our own number, but not our start time: that process is gone.
  writeFileSync(join(dir, "leader.lease"), JSON.stringify({ pid: process.pid, started: "1" }));
  expect((await fileLease(dir).acquire(scopeOfTest(), "leader")).fencingToken).toBeGreaterThan(0);
});

it("says that it is lost when its file was taken away", async () => {
  const dir = tempDir(onTestFinished);
  const { lost } = await fileLease(dir, { intervalMs: 5 }).acquire(scopeOfTest(), "leader");
  unlinkSync(join(dir, "leader.lease"));
  await new Promise<void>((resolve) => lost.addEventListener("abort", () => resolve(), { once: true }));
});

it("gives up waiting when its scope closes", async () => {
  const dir = tempDir(onTestFinished);
  await fileLease(dir).acquire(scopeOfTest(), "leader");
  const scope = new Scope();
  const waiting = fileLease(dir, { intervalMs: 5 }).acquire(scope, "leader");
  const outcome = expect(waiting).rejects.toThrow();
  await scope.close();
  await outcome;
  expect(existsSync(join(dir, "leader.lease"))).toBe(true);
});

it("has a larger token also after its directory was lost", async () => {
  const [dir, other] = [tempDir(onTestFinished), tempDir(onTestFinished)];
  const clockAt = (seconds: number) => ({ ...systemClock(), now: () => seconds * 1000 });
  const first = scopeOfTest();
  const before = await fileLease(dir, { clock: clockAt(1_000_000) }).acquire(first, "leader");
  await first.close();
  const after = await fileLease(other, { clock: clockAt(1_000_001) }).acquire(scopeOfTest(), "leader");
  expect(after.fencingToken).toBeGreaterThan(before.fencingToken);
});
