import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Scope } from "@lateen/kernel";
import { eventually, manualClock, recordingLogger } from "@lateen/test-support";
import { expect, it, onTestFinished } from "vitest";
import { followTexts } from "./follow-texts.ts";

it("hands on what files hold, and what they hold later; what cannot be read changes nothing", async () => {
  const dir = mkdtempSync(join(tmpdir(), "lateen-texts-"));
  const scope = new Scope();
  onTestFinished(async () => {
    await scope.close();
    rmSync(dir, { recursive: true });
  });
  const [clock, logger] = [manualClock(), recordingLogger()];
  const path = join(dir, "a");
  const seen: unknown[] = [];
  const passing = <T>(what: string, found: () => T | undefined) =>
    eventually(what, async () => {
      clock.advance(2_000);
      return found();
    });
  await expect(followTexts({ a: path }, { scope, clock, logger }, () => {})).rejects.toMatchObject({ code: "ENOENT" });
  writeFileSync(path, "one");
  const first = await followTexts({ a: path, b: undefined }, { scope, clock, logger }, (texts) => seen.push(texts));
  expect(first).toEqual({ a: "one", b: undefined });
  rmSync(path);
  await passing("it is told", () => logger.lines.find(({ event }) => event === "configuration.unreadable"));
  expect(seen).toEqual([]);
  writeFileSync(path, "two");
  await passing("the new text", () => seen[0]);
  expect(seen).toEqual([{ a: "two", b: undefined }]);
});
