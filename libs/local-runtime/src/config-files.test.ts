import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readConfigFiles, scanRootNamespace } from "./config-files.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lateen-files-"));
  mkdirSync(join(folder, "rules"));
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  write("b.yaml", "b");
  write("a.json", "{}");
  write("package.json", "{}");
  write("notes.txt", "no");
  write(".hidden.yaml", "no");
  write("rules/c.yml", "c");
  write(
    "mesh.yaml",
    `apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "trustDomain: example.org" }
`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

const names = async (...args: Parameters<typeof readConfigFiles>) =>
  (await readConfigFiles(...args)).map(({ file }) => relative(folder, file));

it("takes the YAML and JSON files of a directory, not what lies below it", async () => {
  expect(await names([folder])).toEqual(["a.json", "b.yaml", "mesh.yaml"]);
});

it("also takes those below when asked", async () => {
  expect(await names([folder], { recursive: true })).toEqual(["a.json", "b.yaml", "mesh.yaml", "rules/c.yml"]);
});

it("takes a file that is named whatever it is called, once", async () => {
  const notes = join(folder, "notes.txt");
  expect(await names([notes, notes])).toEqual(["notes.txt"]);
});

it("finds what the files say about the root namespace", async () => {
  expect(await scanRootNamespace([folder])).toEqual({
    keys: new Set(["ConfigMap/istio-system/istio"]),
    trustDomain: "example.org",
  });
});
