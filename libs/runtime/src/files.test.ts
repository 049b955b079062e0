import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { atomicWriteFile, readFileIfExists } from "./files.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "runtime-files-"));
});
afterEach(() => rm(directory, { recursive: true }));

it("replaces content with the given mode and leaves nothing behind", async () => {
  const path = join(directory, "f");
  await writeFile(path, "old", { mode: 0o644 });
  await atomicWriteFile(path, "new");
  expect(await readFileIfExists(path)).toBe("new");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(directory)).toEqual(["f"]);
});

it("cleans up after a failure", async () => {
  await expect(atomicWriteFile(directory, "x")).rejects.toThrow();
  expect(await readdir(directory)).toEqual([]);
});

it("tells a missing file from an unreadable one", async () => {
  expect(await readFileIfExists(join(directory, "none"))).toBeUndefined();
  await expect(readFileIfExists(directory)).rejects.toThrow();
});
