import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { keyOf } from "@lateen/mesh-model";
import type { ConfigStore, RejectedObject } from "@lateen/ports";
import { describe, expect, it, onTestFinished } from "vitest";
import { change, serviceEntry, summary } from "../testing/objects.ts";
import { tempDir } from "../testing/temp-dir.ts";
import { type JournalStoreOptions, journalConfigStore } from "./journal-store.ts";

const a = serviceEntry("a");
const b = serviceEntry("b");

async function opened(dir: string, options: JournalStoreOptions = {}): Promise<ConfigStore> {
  const store = journalConfigStore(dir, options);
  onTestFinished(() => store.close());
  await store.load();
  return store;
}
async function stored(dir: string, options: JournalStoreOptions = {}) {
  const store = journalConfigStore(dir, options);
  try {
    const state = await store.load();
    return { revision: state.revision, objects: summary(state.objects), rejected: state.rejected, state };
  } finally {
    await store.close();
  }
}
const journal = (dir: string, generation = 0) => join(dir, `journal-${generation}.log`);
const rejection: RejectedObject = {
  key: keyOf(b),
  kind: "ServiceEntry",
  namespace: "shop",
  name: "b",
  file: "b.yaml",
  diagnostics: [
    { level: "error", code: "LTN1", message: "m", path: "p", origin: { file: "b.yaml", line: 3, column: 1 } },
  ],
  lastGoodServes: true,
};

describe("journal store", () => {
  it("is empty at first", async () => {
    expect(await stored(tempDir(onTestFinished))).toMatchObject({ revision: 0, objects: {}, rejected: [] });
  });

  it("keeps objects, removals, rejections and overrides across a restart", async () => {
    const dir = tempDir(onTestFinished);
    const store = await opened(dir);
    await store.commit(change(1, [a, b]));
    const overrides = [{ key: keyOf(a), file: "a.yaml", fingerprint: "f" }];
    await store.commit({ ...change(2, [], [a]), rejected: [rejection], overrides });
    await store.commit({ ...change(3, [a]), rejected: [rejection] });
    await store.close();
    const after = await stored(dir);
    expect(after).toMatchObject({ revision: 3, rejected: [rejection] });
    expect(after.objects).toEqual({ [keyOf(b)]: 1, [keyOf(a)]: 3 });
    expect(after.state.overrides).toEqual(overrides);
    expect(after.state.objects.get(keyOf(a))).toEqual({
      object: a,
      origin: { file: "a.yaml", line: 1, column: 1 },
      ownerFile: "a.yaml",
      revision: 3,
    });
  });

  it("has every acknowledged change after losing power, wherever the last write was cut", async () => {
    const dir = tempDir(onTestFinished);
    const store = await opened(dir);
    const sizes = [0];
    for (let i = 1; i <= 3; i++) {
      await store.commit(change(i, [serviceEntry(`s${i}`)]));
      sizes.push(readFileSync(journal(dir)).length);
    }
    await store.close();
    const whole = readFileSync(journal(dir));
    const cuts = sizes.flatMap((size) => [size - 1, size, size + 1, size + 19, size + 20, size + 21]);
    for (const cut of cuts.filter((cut) => cut >= 0 && cut <= whole.length)) {
      writeFileSync(journal(dir), whole.subarray(0, cut));
      const kept = sizes.findLastIndex((size) => size <= cut);
      expect((await stored(dir)).revision, `cut at ${cut}`).toBe(kept);
      // And the store goes on from there.
      const again = journalConfigStore(dir);
      await again.load();
      await again.commit(change(kept + 1, [b]));
      await again.close();
      expect(Object.keys((await stored(dir)).objects)).toContain(keyOf(b));
    }
  });

  it("loses nothing that was acknowledged to kill -9", async () => {
    const dir = tempDir(onTestFinished);
    const script = join(import.meta.dirname, "../testing/commit-loop.ts");
    const child = spawn(process.execPath, ["--conditions=@lateen/source", script, dir], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let acknowledged = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      if (acknowledged === 25) child.kill("SIGKILL");
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    const { revision, objects } = await stored(dir);
    expect(revision).toBeGreaterThanOrEqual(acknowledged);
    expect(Object.keys(objects)).toHaveLength(revision);
  }, 20_000);

  it("refuses to guess when a record in the middle is damaged", async () => {
    const dir = tempDir(onTestFinished);
    const store = await opened(dir);
    await store.commit(change(1, [a]));
    await store.commit(change(2, [b]));
    await store.close();
    const bytes = readFileSync(journal(dir));
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    writeFileSync(journal(dir), bytes);
    await expect(stored(dir)).rejects.toMatchObject({ code: "LTN6102" });
    // Refusing leaves everything as it is, and the lock free.
    await expect(stored(dir)).rejects.toMatchObject({ code: "LTN6102" });
    expect((await stored(dir, { onDamage: "keepReadable" })).revision).toBe(0);
    expect(readFileSync(`${journal(dir)}.damaged`).equals(bytes)).toBe(true);
  });

  it("refuses what a newer release wrote, and a damaged snapshot", async () => {
    const dir = tempDir(onTestFinished);
    await (await opened(dir)).close();
    writeFileSync(join(dir, "snapshot.json"), '{"format":2}\n{}');
    await expect(stored(dir)).rejects.toMatchObject({ code: "LTN6105" });
    writeFileSync(join(dir, "snapshot.json"), '{"format":1,"generation":0,"crc32":1}\n{}');
    await expect(stored(dir)).rejects.toMatchObject({ code: "LTN6102" });
    writeFileSync(join(dir, "snapshot.json"), "");
    await expect(stored(dir)).rejects.toMatchObject({ code: "LTN6102" });
  });

  it("is held by one process at a time, and taken over from a dead one", async () => {
    const dir = tempDir(onTestFinished);
    const store = await opened(dir);
    await expect(journalConfigStore(dir).load()).rejects.toMatchObject({ code: "LTN6101" });
    await store.close();
    writeFileSync(join(dir, "lock"), JSON.stringify({ pid: 2 ** 22 - 1, started: "1" }));
    expect((await stored(dir)).revision).toBe(0);
  });

  it("refuses changes when closed, when its lock was taken away, and after that for good", async () => {
    const dir = tempDir(onTestFinished);
    const store = await opened(dir);
    writeFileSync(join(dir, "other"), "");
    renameSync(join(dir, "other"), join(dir, "lock"));
    await expect(store.commit(change(1, [a]))).rejects.toMatchObject({ code: "LTN6101" });
    await expect(store.commit(change(1, [a]))).rejects.toMatchObject({ code: "LTN6101" });
    await store.close();
    await expect(store.commit(change(1, [a]))).rejects.toMatchObject({ code: "LTN6104" });
  });
});

describe("compaction", () => {
  async function grown(dir: string): Promise<void> {
    const store = await opened(dir, { compactBytes: 1000 });
    for (let i = 1; i <= 20; i++) await store.commit(change(i, [serviceEntry(`s${i % 3}`)]));
    await store.close();
  }
  const logs = (dir: string) => readdirSync(dir).filter((name) => name.endsWith(".log"));

  it("bounds the journal and changes nothing", async () => {
    const dir = tempDir(onTestFinished);
    await grown(dir);
    expect(logs(dir)).toHaveLength(1);
    expect(logs(dir)).not.toEqual(["journal-0.log"]);
    expect(await stored(dir)).toMatchObject({
      revision: 20,
      objects: { "ServiceEntry/shop/s0": 18, "ServiceEntry/shop/s1": 19, "ServiceEntry/shop/s2": 20 },
    });
  });

  it("interrupted at any point, loses nothing and leaves nothing", async () => {
    const dir = tempDir(onTestFinished);
    await grown(dir);
    const before = (await stored(dir)).objects;
    // Before the rename: the next journal is there, empty, and a temporary snapshot.
    writeFileSync(join(dir, "journal-99.log"), "");
    writeFileSync(join(dir, "snapshot.json.1.tmp"), "{");
    // After the rename, before the old journal was removed.
    writeFileSync(join(dir, "journal-0.log"), "whatever it held");
    expect((await stored(dir)).objects).toEqual(before);
    expect(logs(dir)).toHaveLength(1);
    expect(existsSync(join(dir, "snapshot.json.1.tmp"))).toBe(false);
  });

  it("counts a cut in the journal behind a snapshot from that snapshot on", async () => {
    const dir = tempDir(onTestFinished);
    await grown(dir);
    truncateSync(join(dir, logs(dir)[0] ?? ""), 0);
    const { revision } = await stored(dir);
    expect(revision).toBeGreaterThan(0);
    expect(revision).toBeLessThanOrEqual(20);
  });
});

it("reports an object that this release does not accept, and keeps it for one that does", async () => {
  const dir = tempDir(onTestFinished);
  const store = await opened(dir);
  const broken = { ...a, spec: { hosts: [] } } as unknown as typeof a;
  await store.commit(change(1, [broken, b]));
  await store.close();
  const { objects, rejected } = await stored(dir);
  expect(Object.keys(objects)).toEqual([keyOf(b)]);
  expect(rejected).toMatchObject([{ key: keyOf(a), lastGoodServes: false }]);
  const again = await opened(dir);
  await again.commit(change(2, [b]));
  await again.close();
  expect((await stored(dir)).rejected).toMatchObject([{ key: keyOf(a) }]);
});
