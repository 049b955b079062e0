import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Scope } from "@lateen/kernel";
import type { RawDocument } from "@lateen/ports";
import { describe, expect, it, onTestFinished } from "vitest";
import { Recorder } from "../testing/recorder.ts";
import { tempDir } from "../testing/temp-dir.ts";
import { type FileSourceOptions, fileConfigSource } from "./file-source.ts";

/** Watches, and folds what is delivered into file → text. */
async function watching(paths: readonly string[], options: FileSourceOptions = {}) {
  const scope = new Scope();
  onTestFinished(() => scope.close());
  const recorder = new Recorder<readonly RawDocument[]>();
  await fileConfigSource(paths, options).watch(scope, recorder.receive);
  const view = () => {
    const files = new Map<string, string>();
    for (const { file, text, unreadable } of recorder.items.flat()) {
      if (unreadable !== undefined) files.set(file, `unreadable: ${unreadable}`);
      else if (text === undefined) files.delete(file);
      else files.set(file, text);
    }
    return Object.fromEntries(files);
  };
  const settled = (expected: Record<string, string>) =>
    recorder.until(
      () => JSON.stringify(Object.entries(view()).sort()) === JSON.stringify(Object.entries(expected).sort()),
    );
  return { scope, recorder, view, settled };
}

describe("first delivery", () => {
  it("carries every configuration file, by name, and nothing else", async () => {
    const dir = tempDir(onTestFinished);
    for (const name of ["b.yaml", "a.yml", "c.JSON", "notes.txt", ".hidden.yaml", "package.json", "a.yaml~"]) {
      writeFileSync(join(dir, name), name);
    }
    mkdirSync(join(dir, "sub"));
    writeFileSync(join(dir, "sub", "d.yaml"), "d");
    const { recorder } = await watching([dir]);
    expect(recorder.items).toEqual([
      ["a.yml", "b.yaml", "c.JSON"].map((name) => ({ file: join(dir, name), text: name })),
    ]);
    const deep = await watching([dir], { recursive: true });
    expect(Object.keys(deep.view())).toContain(join(dir, "sub", "d.yaml"));
  });

  it("happens also when there is nothing", async () => {
    const dir = tempDir(onTestFinished);
    expect((await watching([dir])).recorder.items).toEqual([[]]);
    expect((await watching([join(dir, "later.yaml")])).recorder.items).toEqual([[]]);
  });

  it("takes a file that was named whatever its extension", async () => {
    const file = join(tempDir(onTestFinished), "mesh.conf");
    writeFileSync(file, "x");
    expect((await watching([file])).view()).toEqual({ [file]: "x" });
  });
});

describe("changes", () => {
  const started = async (text = "one") => {
    const dir = tempDir(onTestFinished);
    const file = join(dir, "a.yaml");
    writeFileSync(file, text);
    return { dir, file, ...(await watching([dir])) };
  };

  it.each<[string, (file: string, dir: string) => void]>([
    ["written in place", (file) => writeFileSync(file, "two")],
    [
      "renamed over, as atomic writers and most editors do",
      (file, dir) => {
        writeFileSync(join(dir, ".a.tmp"), "two");
        renameSync(join(dir, ".a.tmp"), file);
      },
    ],
    [
      "moved away as a backup and written anew",
      (file) => {
        renameSync(file, `${file}~`);
        writeFileSync(file, "two");
      },
    ],
    [
      "deleted and written anew",
      (file) => {
        unlinkSync(file);
        writeFileSync(file, "two");
      },
    ],
    [
      "emptied and written",
      (file) => {
        truncateSync(file, 0);
        writeFileSync(file, "two");
      },
    ],
  ])("are seen when the file is %s; at no time it seems gone", async (_, act) => {
    const { file, dir, settled, recorder } = await started();
    act(file, dir);
    await settled({ [file]: "two" });
    expect(recorder.items.flat().every(({ text }) => text === "one" || text === "two")).toBe(true);
  });

  it("are seen twice in a row, of the same size", async () => {
    const { file, settled } = await started();
    for (const text of ["two", "six", "ten"]) {
      writeFileSync(file, text);
      await settled({ [file]: text });
    }
  });

  it("are delivered once: what did not change is not repeated", async () => {
    const { file, dir, settled, recorder } = await started();
    writeFileSync(file, "one");
    writeFileSync(join(dir, "b.yaml"), "b");
    await settled({ [file]: "one", [join(dir, "b.yaml")]: "b" });
    expect(recorder.items.flat().filter((document) => document.file === file)).toHaveLength(1);
  });

  it("include files that appear and go", async () => {
    const { file, dir, settled } = await started();
    const added = join(dir, "b.yaml");
    writeFileSync(added, "b");
    await settled({ [file]: "one", [added]: "b" });
    unlinkSync(file);
    await settled({ [added]: "b" });
    truncateSync(added, 0);
    await settled({ [added]: "" });
  });

  it("include a path that did not exist yet", async () => {
    const dir = tempDir(onTestFinished);
    const file = join(dir, "later.yaml");
    const { settled } = await watching([file]);
    writeFileSync(file, "here");
    await settled({ [file]: "here" });
  });

  it("include a directory that goes and comes back", async () => {
    const parent = tempDir(onTestFinished);
    const dir = join(parent, "config");
    mkdirSync(dir);
    writeFileSync(join(dir, "a.yaml"), "one");
    const { settled } = await watching([dir]);
    rmSync(dir, { recursive: true });
    await settled({});
    mkdirSync(dir);
    writeFileSync(join(dir, "a.yaml"), "two");
    await settled({ [join(dir, "a.yaml")]: "two" });
  });

  it("include what a swapped link leads to, as mounted ConfigMaps do it", async () => {
    const dir = tempDir(onTestFinished);
    for (const version of ["v1", "v2"]) {
      mkdirSync(join(dir, `..${version}`));
      writeFileSync(join(dir, `..${version}`, "a.yaml"), version);
    }
    symlinkSync("..v1", join(dir, "..data"));
    symlinkSync(join("..data", "a.yaml"), join(dir, "a.yaml"));
    const { settled } = await watching([dir]);
    await settled({ [join(dir, "a.yaml")]: "v1" });
    symlinkSync("..v2", join(dir, "..next"));
    renameSync(join(dir, "..next"), join(dir, "..data"));
    await settled({ [join(dir, "a.yaml")]: "v2" });
  });

  it("that cannot be read are told as such, not as a removal", async () => {
    const { file, dir, settled } = await started();
    writeFileSync(join(dir, "b.yaml"), "b");
    const { settled: small } = await watching([file], { maxFileBytes: 5 });
    writeFileSync(file, "too long");
    await small({ [file]: "unreadable: larger than 5 bytes" });
    writeFileSync(file, "ok");
    await small({ [file]: "ok" });
    await settled({ [file]: "ok", [join(dir, "b.yaml")]: "b" });
  });

  it("are not reported any more when the scope is closed", async () => {
    const { file, scope, recorder } = await started();
    await scope.close();
    const before = recorder.items.length;
    writeFileSync(file, "two");
    const other = await watching([file]);
    await other.settled({ [file]: "two" });
    expect(recorder.items).toHaveLength(before);
  });
});

it("ignores files beyond its bound", async () => {
  const dir = tempDir(onTestFinished);
  for (const name of ["a.yaml", "b.yaml", "c.yaml"]) writeFileSync(join(dir, name), name);
  expect(Object.keys((await watching([dir], { maxFiles: 2 })).view())).toEqual([
    join(dir, "a.yaml"),
    join(dir, "b.yaml"),
  ]);
});
