import { LateenError, parseDuration } from "@lateen/kernel";
import type { Cli } from "../cli.ts";
import type { UpOptions } from "../commands/up.ts";
import { usageError } from "../errors.ts";
import { configPaths } from "./paths.ts";

/** Starts a mesh in this process, or in the background with `--detach`. */
export async function runUp(cli: Cli, options: UpOptions): Promise<void> {
  const paths = configPaths(cli, options);
  const timeout = parseDuration(options.timeout);
  if (!timeout.ok) throw usageError(`--timeout: ${timeout.error}`);
  if (options.capture === "netns") throw netnsUnavailable();
  if (options.detach) {
    const { runDetached } = await import("./detach.ts");
    return runDetached(cli, { options, paths, timeoutMs: timeout.value });
  }
  const { runForeground } = await import("./foreground.ts");
  return runForeground(cli, { options, paths });
}

/** LTN7012: capture by network namespaces is not part of this version. */
function netnsUnavailable(): LateenError {
  return new LateenError({
    code: "LTN7012",
    fault: "user",
    message: "capture by network namespaces is not available in this version",
    hint: "use --capture proxy-env, where applications leave through http_proxy",
  });
}
