import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fileSecret } from "./file-secrets.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lateen-file-secrets-"));
  for (const name of ["chain", "key", "root"]) await writeFile(join(folder, name), `the ${name}`);
});
afterAll(() => rm(folder, { recursive: true }));

it("reads a certificate and its key", async () => {
  expect(await fileSecret(`file-cert:${folder}/chain~${folder}/key`)).toEqual({
    kind: "certificate",
    certChainPem: "the chain",
    privateKeyPem: "the key",
  });
});

it("reads authorities, of a file and of the machine", async () => {
  expect(await fileSecret(`file-root:${folder}/root`)).toEqual({ kind: "trust", rootsPem: "the root" });
  const system = () => ["one", "two"];
  expect(await fileSecret("file-root:system", system)).toEqual({ kind: "trust", rootsPem: "one\ntwo" });
  expect(await fileSecret("file-root:system")).toMatchObject({
    rootsPem: expect.stringContaining("BEGIN CERTIFICATE"),
  });
});

it.each(["file-cert:/nowhere/chain~/nowhere/key", "file-root:/nowhere"])(
  "has nothing where there is no file: %s",
  async (name) => {
    expect(await fileSecret(name)).toBeUndefined();
    expect(fileSecret(name)).toBeInstanceOf(Promise);
  },
);

it.each(["default", "ROOTCA", "kubernetes://a"])("does not answer for %s", (name) => {
  expect(fileSecret(name)).toBeUndefined();
});
