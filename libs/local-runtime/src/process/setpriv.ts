import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Full path of util-linux's `setpriv` (which ties a child's life to ours), when it is on the PATH of a Linux machine. */
export function findSetpriv(path: string, platform: NodeJS.Platform): string | undefined {
  if (platform !== "linux") return undefined;
  for (const directory of path.split(delimiter)) {
    if (directory === "") continue;
    const candidate = join(directory, "setpriv");
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not here
    }
  }
  return undefined;
}
