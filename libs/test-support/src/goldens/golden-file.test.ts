import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { golden, goldenCases } from "./golden-file.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lateen-golden-"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

it("says what the file says, and nothing without one", () => {
  vi.stubEnv("UPDATE_GOLDENS", "");
  writeFileSync(join(folder, "a"), "as it was");
  expect(golden(join(folder, "a"), "as it is")).toBe("as it was");
  expect(golden(join(folder, "b"), "as it is")).toBe("");
});

it("writes the file when asked to", () => {
  vi.stubEnv("UPDATE_GOLDENS", "1");
  expect(golden(join(folder, "a"), "as it is")).toBe("as it is");
  expect(readFileSync(join(folder, "a"), "utf8")).toBe("as it is");
});

it("finds the folders that are cases, in order", () => {
  for (const name of ["b", "a", "other"]) mkdirSync(join(folder, name));
  for (const name of ["b", "a"]) writeFileSync(join(folder, name, "input.yaml"), "");
  expect(goldenCases(folder, "input.yaml").map(({ name }) => name)).toEqual(["a", "b"]);
  expect(goldenCases(folder, "input.yaml")[0]?.path("x")).toBe(join(folder, "a", "x"));
});
