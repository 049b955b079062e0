import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@lateen/kernel";
import { manualClock } from "@lateen/test-support";
import { afterEach, beforeEach, expect, it } from "vitest";
import { types } from "./configuration.ts";
import { type KeptResources, LastGood } from "./last-good.ts";
import { edsCluster, httpListener } from "./testing/resources.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lateen-last-good-"));
});
afterEach(() => rm(directory, { recursive: true }));

const kept = (version = "1"): KeptResources =>
  new Map([
    [types.cluster, new Map(["a", "b"].map((name) => [name, { ...edsCluster(name), version }]))],
    [types.listener, new Map([["l", { ...httpListener("l", "r"), version }]])],
  ]);
const create = (clock = manualClock(Date.now())) => new LastGood(join(directory, "last-good"), clock, silentLogger);
const file = () => join(directory, "last-good", "config.pb");

it("gives back what was kept", async () => {
  const store = create();
  store.save(() => kept());
  await store.flush();
  expect(await create().load()).toEqual(kept());
});

it("writes a burst of changes once, after it has ended", async () => {
  const clock = manualClock(Date.now());
  const store = create(clock);
  let reads = 0;
  for (let i = 0; i < 5; i++) {
    store.save(() => {
      reads++;
      return kept(String(i));
    });
  }
  expect(reads).toBe(0);
  clock.advance(500);
  await store.flush();
  expect(reads).toBe(1);
  expect((await create().load())?.get(types.listener)?.get("l")?.version).toBe("4");
});

it("is readable by its owner only and leaves no temporary file", async () => {
  const store = create();
  store.save(() => kept());
  await store.flush();
  expect((await stat(file())).mode & 0o777).toBe(0o600);
  expect((await stat(join(directory, "last-good"))).mode & 0o777).toBe(0o700);
  expect(await readdir(join(directory, "last-good"))).toEqual(["config.pb"]);
});

it("leaves out secrets and what came from a static configuration", async () => {
  const store = create();
  const secret = { name: "kubernetes://x", version: "1", any: { typeUrl: types.secret, value: Buffer.from("key") } };
  store.save(
    () =>
      new Map([
        [types.secret, new Map([[secret.name, secret]])],
        [types.cluster, new Map([["static", { ...edsCluster("static"), version: "" }]])],
      ]),
  );
  await store.flush();
  expect(await create().load()).toEqual(new Map([[types.cluster, new Map()]]));
});

it.each([
  ["nothing", undefined],
  ["an empty file", () => Buffer.alloc(0)],
  ["half a file", (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
  ["a flipped bit", (bytes: Buffer) => bytes.fill((bytes.at(-3) ?? 0) ^ 1, bytes.length - 3, bytes.length - 2)],
  ["something else", () => Buffer.from("this is no last-good file, but a text of sufficient length")],
])("does not use %s", async (_title, damage) => {
  const store = create();
  store.save(() => kept());
  await store.flush();
  if (damage === undefined) await rm(file());
  else await writeFile(file(), damage(await readFile(file())));
  expect(await create().load()).toBeUndefined();
});
