import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** Folders of `deploy/` that hold generated files alone. */
const GENERATED = ["kubernetes/{crds,base,profiles}/**/*.yaml", "helm/**/*.{yaml,json}", "images/**/*"];

/** How the files of a folder differ from what is generated: paths below it. */
export function drift(folder: string, files: ReadonlyMap<string, string>) {
  const there = globSync(GENERATED, { cwd: folder }).filter((path) => statSync(join(folder, path)).isFile());
  const missing: string[] = [];
  const different: string[] = [];
  for (const [path, text] of files) {
    if (!existsSync(join(folder, path))) missing.push(path);
    else if (readFileSync(join(folder, path), "utf8") !== text) different.push(path);
  }
  return { missing, different, stale: there.filter((path) => !files.has(path)) };
}
