import { memoryBus } from "@lateen/adapter-local";
import type { ResourceKey } from "@lateen/mesh-model";
import { describe, expect, it, onTestFinished } from "vitest";
import { docs, entry, hosts, MemoryStore, type Running, ScriptedSource, service, start } from "./testing/harness.ts";

async function running(files: Readonly<Record<string, string>> = {}, store = new MemoryStore(), maxObjects?: number) {
  const source = new ScriptedSource(files);
  const bus = memoryBus();
  const run = await start({ source, store, bus, ...(maxObjects === undefined ? {} : { maxObjects }) });
  onTestFinished(() => run.stop());
  const write = (file: string, text: string | undefined) => {
    source.write(file, text);
    return run.settle();
  };
  return { ...run, source, store, bus, write };
}
const inForce = ({ galley }: Pick<Running, "galley">) => hosts(galley.objects());
const rejections = ({ galley }: Pick<Running, "galley">) =>
  galley.rejected().map(({ name, file, lastGoodServes, diagnostics }) => ({
    name,
    file,
    line: diagnostics[0]?.origin.line,
    lastGoodServes,
  }));
const key = (name: string) => `ServiceEntry/shop/${name}` as ResourceKey;
const BAD = "not a host";

describe("each object is decided on alone", () => {
  it("a bad document keeps the others of its file from nothing", async () => {
    const run = await running({ "a.yaml": docs(entry("a"), entry("b", BAD), "kind: [\n", entry("c")) });
    expect(inForce(run)).toEqual({ a: "a.example", c: "c.example" });
    expect(rejections(run)).toEqual([
      { name: "b", file: "a.yaml", line: expect.any(Number), lastGoodServes: false },
      { name: "", file: "a.yaml", line: expect.any(Number), lastGoodServes: false },
    ]);
    expect(run.galley.rejected()[0]?.diagnostics[0]?.path).toContain("hosts");
  });

  it("a bad change leaves the last good version in force until it is mended", async () => {
    const run = await running({ "a.yaml": entry("a") });
    await run.write("a.yaml", entry("a", BAD));
    expect(inForce(run)).toEqual({ a: "a.example" });
    expect(rejections(run)).toMatchObject([{ name: "a", lastGoodServes: true }]);
    await run.write("a.yaml", entry("a", "new.example"));
    expect(inForce(run)).toEqual({ a: "new.example" });
    expect(run.galley.rejected()).toEqual([]);
  });

  it("a rejection is logged once, and is no change of what is in force", async () => {
    const run = await running({ "a.yaml": entry("a") });
    const { revision } = run.galley;
    await run.write("a.yaml", entry("a", BAD));
    await run.write("b.yaml", entry("b", BAD));
    expect(run.galley.revision).toBe(revision);
    expect(run.log.filter(({ event }) => event === "config.rejected").map(({ name }) => name)).toEqual(["a", "b"]);
  });

  it("kinds that are not of the mesh are ignored", async () => {
    const run = await running({
      "a.yaml": docs("apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\n", entry("a")),
    });
    expect([inForce(run), run.galley.rejected()]).toEqual([{ a: "a.example" }, []]);
  });

  it("too many objects are refused, those in force stay", async () => {
    const run = await running({ "a.yaml": entry("a") }, new MemoryStore(), 2);
    await run.write("b.yaml", docs(entry("b"), entry("c")));
    expect(inForce(run)).toEqual({ a: "a.example", b: "b.example" });
    expect(run.galley.rejected()[0]?.diagnostics[0]?.code).toBe("LTN2009");
  });
});

describe("removal", () => {
  it("follows the document, or the file", async () => {
    const run = await running({ "a.yaml": docs(entry("a"), entry("b")), "c.yaml": entry("c") });
    await run.write("a.yaml", entry("a"));
    await run.write("c.yaml", undefined);
    expect(inForce(run)).toEqual({ a: "a.example" });
  });

  it("never follows a document that may only be hidden by a mistake", async () => {
    const run = await running({ "a.yaml": docs(entry("a"), entry("b")) });
    await run.write("a.yaml", docs(entry("a"), entry("b").replace("kind: ServiceEntry", "kind: {")));
    expect(inForce(run)).toEqual({ a: "a.example", b: "b.example" });
    expect(rejections(run)).toMatchObject([{ file: "a.yaml", lastGoodServes: true }]);
    await run.write("a.yaml", entry("a"));
    expect(inForce(run)).toEqual({ a: "a.example" });
  });

  it("never follows a file that cannot be read", async () => {
    const run = await running({ "a.yaml": entry("a") });
    run.source.deliver({ file: "a.yaml", text: undefined, unreadable: "EACCES" });
    await run.settle();
    expect(inForce(run)).toEqual({ a: "a.example" });
    expect(run.galley.rejected()[0]).toMatchObject({ file: "a.yaml", key: undefined, lastGoodServes: true });
  });
});

describe("ownership", () => {
  it("is the first file's by name; another's claim is rejected and takes over when the first gives up", async () => {
    const run = await running({ "b.yaml": entry("x", "b.example"), "a.yaml": entry("x", "a.example") });
    expect(inForce(run)).toEqual({ x: "a.example" });
    expect(rejections(run)).toMatchObject([{ file: "b.yaml", lastGoodServes: true }]);
    await run.write("a.yaml", undefined);
    expect([inForce(run), rejections(run)]).toEqual([{ x: "b.example" }, []]);
  });

  it("stays with the file that has it", async () => {
    const run = await running({ "b.yaml": entry("x", "b.example") });
    await run.write("a.yaml", entry("x", "a.example"));
    expect(inForce(run)).toEqual({ x: "b.example" });
    await run.write("b.yaml", entry("x", "b2.example"));
    expect(inForce(run)).toEqual({ x: "b2.example" });
  });

  it("of a file is not touched by a command unless it takes over; editing the file takes it back", async () => {
    const run = await running({ "a.yaml": entry("a") });
    const command = [{ file: "<apply>", text: entry("a", "cli.example") }];
    const refused = await run.galley.apply(command);
    expect(refused.results[0]).toMatchObject({ action: "rejected", errors: [expect.stringContaining("a.yaml")] });
    expect((await run.galley.apply(command, { takeOver: true })).results[0]?.action).toBe("configured");
    expect(inForce(run)).toEqual({ a: "cli.example" });
    // The file is read again with what it said: the command stands.
    await run.write("a.yaml", `# a comment\n${entry("a")}`);
    expect(inForce(run)).toEqual({ a: "cli.example" });
    expect(run.galley.rejected()[0]?.diagnostics[0]?.code).toBe("LTN2007");
    await run.write("a.yaml", entry("a", "edited.example"));
    expect([inForce(run), run.galley.rejected()]).toEqual([{ a: "edited.example" }, []]);
  });

  it("of a command is refused to no command, and taken over by a file that speaks of it", async () => {
    const run = await running();
    expect((await run.galley.apply([{ file: "x", text: entry("a") }])).results[0]?.action).toBe("created");
    expect((await run.galley.apply([{ file: "y", text: entry("a") }])).results[0]?.action).toBe("unchanged");
    await run.write("a.yaml", entry("a", "file.example"));
    expect(inForce(run)).toEqual({ a: "file.example" });
    await run.write("a.yaml", undefined);
    expect(inForce(run)).toEqual({});
  });

  it("holds for removal too", async () => {
    const run = await running({ "a.yaml": entry("a") });
    expect((await run.galley.remove([key("a")])).results[0]).toMatchObject({ action: "rejected" });
    expect((await run.galley.remove([key("a")], { takeOver: true })).results[0]?.action).toBe("deleted");
    expect(inForce(run)).toEqual({});
    expect((await run.galley.remove([key("nobody")])).results[0]?.action).toBe("notFound");
  });
});

describe("commands", () => {
  it("report every document with its place", async () => {
    const run = await running();
    const text = docs(entry("a"), entry("b", BAD), "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\n");
    const { revision, results } = await run.galley.apply([{ file: "f.yaml", text }]);
    expect(revision).toBe(1);
    expect(results.map(({ name, action, file }) => [name, action, file])).toEqual([
      ["a", "created", "f.yaml"],
      ["b", "rejected", "f.yaml"],
      ["x", "ignored", "f.yaml"],
    ]);
    expect(results[1]?.errors[0]).toMatch(/^f\.yaml:\d+:\d+: .*hosts/);
  });

  it("that carry too much are refused whole", async () => {
    const run = await running();
    const many = Array.from({ length: 2001 }, (_, i) => ({ file: `${i}`, text: "" }));
    await expect(run.galley.apply(many)).rejects.toMatchObject({ code: "LTN2002" });
  });
});

describe("durability", () => {
  it("puts nothing in force that could not be stored", async () => {
    const run = await running({ "a.yaml": entry("a") });
    const before = run.deltas.length;
    run.store.failure = new Error("disk full");
    await expect(run.galley.apply([{ file: "x", text: entry("b") }])).rejects.toMatchObject({ code: "LTN2010" });
    await run.settle();
    expect([inForce(run), run.deltas.length]).toEqual([{ a: "a.example" }, before]);
  });

  it("tries a watched change again until it is stored", async () => {
    const run = await running({ "a.yaml": entry("a") });
    run.store.failure = new Error("disk full");
    await run.write("a.yaml", entry("a", "two.example"));
    expect(inForce(run)).toEqual({ a: "a.example" });
    run.clock.run();
    await run.settle();
    expect(run.galley.stats().storeFailures).toBeGreaterThanOrEqual(2);
    run.store.failure = undefined;
    run.clock.run();
    await run.settle();
    expect(inForce(run)).toEqual({ a: "two.example" });
  });

  it("does not start a mesh that could not keep its first configuration", async () => {
    const store = new MemoryStore();
    store.failure = new Error("read-only");
    await expect(running({ "a.yaml": entry("a") }, store)).rejects.toMatchObject({ code: "LTN2010" });
  });

  it("remembers rejections, last good versions, ownership and overrides across a restart", async () => {
    const store = new MemoryStore();
    const first = await running({ "a.yaml": docs(entry("a"), entry("b")) }, store);
    await first.write("a.yaml", docs(entry("a", BAD), entry("b")));
    await first.galley.apply([{ file: "x", text: entry("b", "cli.example") }], { takeOver: true });
    await first.galley.apply([{ file: "x", text: entry("c") }]);
    const before = [inForce(first), rejections(first), first.galley.revision];
    await first.stop();
    const second = await running({ "a.yaml": docs(entry("a", BAD), entry("b")) }, store);
    expect([inForce(second), rejections(second), second.galley.revision]).toEqual(before);
    expect(inForce(second)).toEqual({ a: "a.example", b: "cli.example", c: "c.example" });
    // Nothing changed, so nothing was stored.
    expect(store.commits).toHaveLength(4);
  });
});

describe("bus", () => {
  it("carries a snapshot, then what changed", async () => {
    const run = await running({ "a.yaml": docs(entry("a"), entry("b")) });
    await run.write("a.yaml", docs(entry("a", "two.example"), entry("c")));
    const seen = run.deltas.map(({ snapshot, revision, upserted, removed }) => ({
      snapshot,
      revision,
      upserted: upserted.map((one) => one.key).sort(),
      removed,
    }));
    expect(seen).toEqual([
      { snapshot: true, revision: 1, upserted: [key("a"), key("b")], removed: [] },
      { snapshot: false, revision: 2, upserted: [key("a"), key("c")], removed: [key("b")] },
    ]);
  });

  it("is left alone by what means the same", async () => {
    const run = await running({ "a.yaml": entry("a") });
    await run.write("a.yaml", `# comment\n\n${entry("a")}`);
    expect(run.deltas).toHaveLength(1);
    expect(run.galley.objects().get(key("a"))?.origin.line).toBe(3);
  });
});

describe("services", () => {
  const address = (run: Running, name: string) => {
    const object = run.galley.objects().get(`Service/shop/${name}` as ResourceKey)?.object;
    return object?.kind === "Service" ? object.spec.clusterIP : undefined;
  };

  it("get an address of their own that they keep", async () => {
    const store = new MemoryStore();
    const run = await running({ "a.yaml": docs(service("a"), service("b")) }, store);
    const a = address(run, "a");
    expect(a).toMatch(/^10\.(9[6-9]|10\d|11[01])\./);
    expect(address(run, "b")).not.toBe(a);
    await run.write("a.yaml", docs(service("a").replace("name: http", "name: http-web"), service("b")));
    expect(address(run, "a")).toBe(a);
    await run.stop();
    expect(address(await running({ "a.yaml": service("a") }, store), "a")).toBe(a);
  });

  it("may ask for one, which nobody else gets", async () => {
    const run = await running({
      "a.yaml": docs(service("a", "10.96.5.5"), service("b", "10.96.5.5"), service("c", "None")),
    });
    expect([address(run, "a"), address(run, "b"), address(run, "c")]).toEqual(["10.96.5.5", undefined, "None"]);
    expect(run.galley.rejected()[0]?.diagnostics[0]).toMatchObject({ code: "LTN2003", path: "spec.clusterIP" });
  });
});

it("stamps the time of creation once", async () => {
  const run = await running({ "a.yaml": entry("a") });
  const created = () => run.galley.objects().get(key("a"))?.object.metadata.creationTimestamp;
  expect(created()).toBe("2026-01-02T03:04:05Z");
  await run.write("a.yaml", entry("a", "two.example"));
  expect(created()).toBe("2026-01-02T03:04:05Z");
});

it("counts the generations of an object's spec, also over a restart and whatever is written as generation", async () => {
  const store = new MemoryStore();
  const run = await running({ "a.yaml": entry("a") }, store);
  const generation = ({ galley }: Pick<Running, "galley">) =>
    galley.objects().get(key("a"))?.object.metadata.generation;
  expect(generation(run)).toBe(1);
  await run.write("a.yaml", entry("a").replace("metadata: {", "metadata: {generation: 9, "));
  expect(generation(run)).toBe(1);
  await run.write("a.yaml", entry("a").replace("metadata: {", "metadata: {labels: {a: b}, "));
  expect(generation(run)).toBe(1);
  await run.write("a.yaml", entry("a", "two.example"));
  expect(generation(run)).toBe(2);
  await run.stop();
  expect(generation(await running({ "a.yaml": entry("a", "two.example") }, store))).toBe(2);
});

it("tells Prometheus", async () => {
  const run = await running({ "a.yaml": docs(entry("a"), entry("b", BAD)) });
  await run.write("a.yaml", entry("a", BAD));
  const text = run.galley.metrics();
  for (const line of [
    'galley_objects{kind="ServiceEntry"} 1',
    'galley_rejected_objects{last_good_serves="true"} 1',
    'galley_rejected_objects{last_good_serves="false"} 0',
    "galley_revision 1",
    'galley_validation_passed{kind="ServiceEntry"} 1',
    'galley_validation_failed{kind="ServiceEntry"} 2',
    "galley_store_failures_total 0",
  ]) {
    expect(text.split("\n")).toContain(line);
  }
});
