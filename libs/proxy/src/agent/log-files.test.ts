import { mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LogFields, silentLogger, systemClock } from "@lateen/kernel";
import { afterEach, beforeEach, expect, it } from "vitest";
import { LogFiles } from "./log-files.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lateen-logs-"));
});
afterEach(() => rm(directory, { recursive: true }));

const line = (text: string) => Buffer.from(`${text}\n`);

it("writes lines in order, also those that came while it wrote", async () => {
  const files = new LogFiles(systemClock(), silentLogger);
  const path = join(directory, "access.log");
  for (let i = 0; i < 100; i++) files.write(path, line(String(i)));
  await files.flush();
  expect(await readFile(path, "utf8")).toBe(Array.from({ length: 100 }, (_, i) => `${i}\n`).join(""));
});

it("goes on in a new file after a rotation", async () => {
  const files = new LogFiles(systemClock(), silentLogger);
  const path = join(directory, "access.log");
  files.write(path, line("old"));
  await files.flush();
  await rename(path, `${path}.1`);
  files.reopen();
  files.write(path, line("new"));
  await files.flush();
  expect(await readFile(`${path}.1`, "utf8")).toBe("old\n");
  expect(await readFile(path, "utf8")).toBe("new\n");
});

it("drops what cannot be written, says so once, and recovers", async () => {
  const errors: LogFields[] = [];
  const files = new LogFiles(systemClock(), { ...silentLogger, error: (fields) => void errors.push(fields) });
  const path = join(directory, "missing", "access.log");
  for (const text of ["a", "b"]) {
    files.write(path, line(text));
    await files.flush();
  }
  expect(errors).toHaveLength(1);
  expect(files.droppedBytes).toBe(4);
});

it("drops what exceeds its bound", async () => {
  const files = new LogFiles(systemClock(), silentLogger);
  const path = join(directory, "access.log");
  const megabyte = Buffer.alloc(1024 * 1024, "x");
  for (let i = 0; i < 6; i++) files.write(path, megabyte);
  await files.flush();
  expect(files.droppedBytes).toBeGreaterThan(0);
  expect((await readFile(path)).length + files.droppedBytes).toBe(6 * 1024 * 1024);
});
