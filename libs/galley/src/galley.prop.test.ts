import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { journalConfigStore, memoryBus } from "@lateen/adapter-local";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { docs, entry, hosts, MemoryStore, ScriptedSource, start } from "./testing/harness.ts";

const FILES = ["a.yaml", "b.yaml"] as const;
const NAMES = ["x", "y"] as const;
type Version = "good1" | "good2" | "bad";
type Content = Partial<Record<(typeof NAMES)[number], Version>>;

const version = fc.constantFrom<Version>("good1", "good2", "bad");
const content: fc.Arbitrary<Content | undefined> = fc.option(
  fc.record({ x: version, y: version }, { requiredKeys: [] }),
  {
    nil: undefined,
  },
);
const step = fc.record({ file: fc.constantFrom(...FILES), content, restart: fc.boolean() });

function text(content: Content): string {
  return docs(
    ...Object.entries(content).map(([name, which]) => entry(name, which === "bad" ? "not a host" : `${name}.${which}`)),
  );
}

it("an object is what the one file that speaks of it says, or said last without a mistake; a restart changes nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
      const source = new ScriptedSource();
      const store = new MemoryStore();
      let run = await start({ source, store, bus: memoryBus() });
      const files = new Map<string, Content>();
      let before: Record<string, string | undefined> = {};
      for (const { file, content: next, restart } of steps) {
        if (next === undefined) files.delete(file);
        else files.set(file, next);
        source.write(file, next === undefined ? undefined : text(next));
        await run.settle();
        const now = hosts(run.galley.objects());
        for (const name of NAMES) {
          const claims = [...files.values()].flatMap((one) => one[name] ?? []);
          if (claims.length === 0) expect(now[name]).toBeUndefined();
          if (claims.length === 1 && claims[0] !== "bad") expect(now[name]).toBe(`${name}.${claims[0]}`);
          if (claims.length === 1 && claims[0] === "bad") expect([before[name], undefined]).toContain(now[name]);
          if (claims.includes("bad")) expect(run.galley.rejected().some((one) => one.name === name)).toBe(true);
        }
        before = now;
        if (!restart) continue;
        const state = [now, run.galley.rejected(), run.galley.revision];
        await run.stop();
        run = await start({ source, store, bus: memoryBus() });
        expect([hosts(run.galley.objects()), run.galley.rejected(), run.galley.revision]).toEqual(state);
      }
      await run.stop();
    }),
    { numRuns: 30 },
  );
});

it("killed while writing, at any byte, comes back with every object of its files and what was acknowledged", async () => {
  const base = mkdtempSync(join(tmpdir(), "lateen-galley-"));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const dir = join(base, "store");
  const files = { "a.yaml": docs(entry("a"), entry("b", "not a host")) };
  const first = await start({ source: new ScriptedSource(files), store: journalConfigStore(dir), bus: memoryBus() });
  await first.galley.apply([{ file: "x", text: entry("c") }]);
  const acknowledged = readFileSync(join(dir, "journal-0.log")).length;
  await first.galley.apply([{ file: "x", text: entry("d") }]);
  await first.stop();
  const whole = readFileSync(join(dir, "journal-0.log"));
  // Every byte near the ends of records, a sample in between.
  const cuts = new Set([
    0,
    1,
    19,
    20,
    21,
    acknowledged - 1,
    acknowledged,
    acknowledged + 1,
    whole.length - 1,
    whole.length,
  ]);
  for (let cut = 0; cut < whole.length; cut += 41) cuts.add(cut);
  for (const cut of cuts) {
    const copy = join(base, `cut-${cut}`);
    cpSync(dir, copy, { recursive: true });
    writeFileSync(join(copy, "journal-0.log"), whole.subarray(0, cut));
    const run = await start({ source: new ScriptedSource(files), store: journalConfigStore(copy), bus: memoryBus() });
    const expected: Record<string, string> = { a: "a.example" };
    if (cut >= acknowledged) expected.c = "c.example";
    if (cut >= whole.length) expected.d = "d.example";
    expect(hosts(run.galley.objects()), `cut at ${cut}`).toEqual(expected);
    expect(run.galley.rejected().map(({ name }) => name)).toEqual(["b"]);
    await run.galley.apply([{ file: "x", text: entry("e") }]);
    await run.stop();
  }
});
