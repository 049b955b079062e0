import { parseDuration } from "@lateen/kernel";
import type { Cli } from "../cli.ts";
import type { UpOptions } from "../commands/up.ts";
import { usageError } from "../errors.ts";
import { configPaths } from "./paths.ts";

/** Starts a mesh in this process, or in the background with `--detach`. */
export async function runUp(cli: Cli, options: UpOptions): Promise<void> {
  const paths = configPaths(cli, options);
  const timeout = parseDuration(options.timeout);
  if (!timeout.ok) throw usageError(`--timeout: ${timeout.error}`);
  if (options.detach) {
    const { runDetached } = await import("./detach.ts");
    return runDetached(cli, { options, paths, timeoutMs: timeout.value });
  }
  const { runForeground } = await import("./foreground.ts");
  return runForeground(cli, { options, paths });
}
