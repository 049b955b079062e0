import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { fileKeySetStore } from "./file-key-set-store.ts";

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "lateen-keys-"));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return join(made, "issuer-keys");
}

it("has nothing at first, then what was saved last, for whoever opens it", async () => {
  const directory = await folder();
  const store = fileKeySetStore(directory);
  expect(await store.load()).toEqual(new Map());
  await store.save("https://a/keys", "1");
  await Promise.all([store.save("https://b/../keys", "2"), fileKeySetStore(directory).save("https://c/keys", "3")]);
  await store.save("https://a/keys", "4");
  await store.save("https://c/keys", undefined);
  await store.save("https://unknown", undefined);
  const expected = new Map([
    ["https://a/keys", "4"],
    ["https://b/../keys", "2"],
  ]);
  expect(await fileKeySetStore(directory).load()).toEqual(expected);
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
});

it.each([
  ["cut off", '{"url":"https://a/keys","ke'],
  ["of another shape", "[]"],
  ["nothing at all", "null"],
  ["of another URL than its name says", '{"url":"https://evil/keys","keys":"{}"}'],
])("leaves out a file that is %s", async (_title, text) => {
  const directory = await folder();
  const store = fileKeySetStore(directory);
  await store.save("https://a/keys", "1");
  const [name = ""] = await readdir(directory);
  await store.save("https://b/keys", "2");
  await writeFile(join(directory, name), text);
  await writeFile(join(directory, "notes.txt"), "not ours");
  expect(await store.load()).toEqual(new Map([["https://b/keys", "2"]]));
});
