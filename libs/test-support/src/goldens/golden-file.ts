import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Set to 1, golden files are written instead of compared. Read the difference before it is committed. */
const UPDATE = "UPDATE_GOLDENS";

/**
 * What a golden file says should have come out, to be compared with what did. With `UPDATE_GOLDENS=1` the file is written first, so that the
 * comparison holds. A file that is not there says nothing.
 */
export function golden(file: string, actual: string): string {
  if (process.env[UPDATE] === "1") {
    // A file is only touched when it changes: watchers and builds look at times.
    if (!existsSync(file) || readFileSync(file, "utf8") !== actual) writeFileSync(file, actual);
  }
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** Folders below `root` that have a file of this name, by name: each is a case. */
export function goldenCases(
  root: string,
  file: string,
): readonly { readonly name: string; readonly path: (file: string) => string }[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, entry.name, file)))
    .map(({ name }) => ({ name, path: (inner: string) => join(root, name, inner) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
