import { renameSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Scope } from "@lateen/kernel";
import { keyOf } from "@lateen/mesh-model";
import type { RegistryDelta } from "@lateen/ports";
import { describe, expect, it, onTestFinished } from "vitest";
import { pod } from "../testing/objects.ts";
import { Recorder } from "../testing/recorder.ts";
import { tempDir } from "../testing/temp-dir.ts";
import { filePodRegistry } from "./file-pod-registry.ts";

const A = "Pod/shop/a";
const B = "Pod/shop/b";

async function watching(items?: readonly unknown[]) {
  const file = join(tempDir(onTestFinished), "pods.json");
  const write = (value: unknown) => {
    writeFileSync(`${file}.tmp`, typeof value === "string" ? value : JSON.stringify({ items: value }));
    renameSync(`${file}.tmp`, file);
  };
  if (items !== undefined) write(items);
  const scope = new Scope();
  onTestFinished(() => scope.close());
  const recorder = new Recorder<{
    snapshot: boolean;
    upserted: string[];
    removed: readonly string[];
    version?: string;
  }>();
  await filePodRegistry(file).watch(scope, ({ upserted, ...rest }: RegistryDelta) =>
    recorder.receive({ ...rest, upserted: upserted.map(keyOf) }),
  );
  return { file, write, recorder, scope };
}

describe("pod registry", () => {
  it("delivers what is there first, then what changed", async () => {
    const { write, recorder } = await watching([pod("a", "127.64.0.1"), pod("b", "127.64.0.2")]);
    expect(recorder.items).toEqual([{ snapshot: true, upserted: [A, B], removed: [] }]);
    write([pod("a", "127.64.0.9")]);
    const [, second] = await recorder.until((items) => items.length === 2);
    expect(second).toEqual({ snapshot: false, upserted: [A], removed: [B] });
  });

  it("is empty while the file does not exist", async () => {
    const { write, recorder } = await watching();
    expect(recorder.items).toEqual([{ snapshot: true, upserted: [], removed: [] }]);
    write([pod("a", "127.64.0.1")]);
    await recorder.until((items) => items[1]?.upserted[0] === A);
  });

  it("keeps what it knew when the file goes, breaks or says nothing", async () => {
    const { file, write, recorder } = await watching([pod("a", "127.64.0.1")]);
    unlinkSync(file);
    write("{");
    write('{"items":{}}');
    write([pod("a", "127.64.0.1"), pod("b", "127.64.0.2")]);
    const items = await recorder.until((all) => all.some(({ upserted }) => upserted.includes(B)));
    expect(items.flatMap(({ removed }) => removed)).toEqual([]);
  });

  it("tells the version of the list, also of one that changes nothing", async () => {
    const { write, recorder } = await watching([pod("a", "127.64.0.1")]);
    const list = (resourceVersion: string) =>
      write(JSON.stringify({ metadata: { resourceVersion }, items: [pod("a", "127.64.0.1")] }));
    list("7");
    await recorder.until((items) => items.length === 2);
    expect(recorder.items[1]).toEqual({ snapshot: false, upserted: [], removed: [], version: "7" });
  });

  it("ignores what is not of the registry, item by item", async () => {
    const service = {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "x", namespace: "shop" },
      spec: { ports: [] },
    };
    const { recorder } = await watching([service, { kind: "Pod" }, 7, null, pod("a", "127.64.0.1")]);
    expect(recorder.items).toEqual([{ snapshot: true, upserted: [A], removed: [] }]);
  });
});
