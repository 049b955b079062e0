// Writes the generated files of deploy/; `--check` only says which differ. Run with `npm run manifests`.
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { drift } from "./drift.ts";
import { generatedFiles } from "./files.ts";

const DEPLOY = resolve(import.meta.dirname, "../../../deploy");
const files = generatedFiles();
const { missing, different, stale } = drift(DEPLOY, files);
if (process.argv.includes("--check")) {
  for (const path of [...missing, ...different, ...stale]) console.error(`deploy/${path} is not what is generated`);
  process.exitCode = missing.length + different.length + stale.length > 0 ? 1 : 0;
} else {
  for (const path of [...missing, ...different]) {
    mkdirSync(dirname(join(DEPLOY, path)), { recursive: true });
    const text = files.get(path) ?? "";
    writeFileSync(join(DEPLOY, path), text);
    chmodSync(join(DEPLOY, path), text.startsWith("#!") ? 0o755 : 0o644);
  }
  for (const path of stale) rmSync(join(DEPLOY, path));
  console.log(`${files.size} files, ${missing.length + different.length} written, ${stale.length} removed`);
}
