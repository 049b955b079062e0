import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory that is gone when the test is. @param atEnd the runner's `onTestFinished`. */
export function tempDir(atEnd: (cleanUp: () => void) => void): string {
  const dir = mkdtempSync(join(tmpdir(), "lateen-local-"));
  atEnd(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
