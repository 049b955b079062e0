import { readFile } from "node:fs/promises";
import { LateenError } from "@lateen/kernel";
import { applyCapture, removeCapture } from "./apply.ts";
import { captureCommand } from "./command.ts";
import { captureRules } from "./rules.ts";

/** How a program runs the capture commands: its variables, its output. */
export interface CaptureProgram {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const EXIT_USAGE = 64;
const EXIT_UNAVAILABLE = 69;

/**
 * `istio-iptables` (`apply`) and `istio-clean-iptables` (`clear`), here or as an init container.
 * @returns the exit code: 0, 64 for arguments that make no sense, 69 when the kernel refuses.
 */
export async function runCapture(
  verb: "apply" | "clear",
  argv: readonly string[],
  { env, out, err }: CaptureProgram,
): Promise<number> {
  const resolvConf = await readFile("/etc/resolv.conf", "utf8").catch(() => "");
  const command = captureCommand(verb === "clear" ? [] : argv, { env, resolvConf });
  if (!command.ok) {
    err(command.error.map((problem) => `${problem}\n`).join(""));
    return EXIT_USAGE;
  }
  const { options, dryRun } = command.value;
  try {
    if (verb === "clear") await removeCapture({ prefix: [] });
    else if (dryRun) {
      for (const family of [4, 6] as const) out(`# IPv${family}\n${captureRules(family, options).join("\n")}\n`);
    } else await applyCapture(options, { prefix: [], families: await families() });
    return 0;
  } catch (error) {
    if (!(error instanceof LateenError)) throw error;
    err(`${error.message} (${error.code})\n  ${error.hint ?? ""}\n`);
    return EXIT_UNAVAILABLE;
  }
}

/** A kernel without IPv6 has no table for it. */
async function families(): Promise<readonly (4 | 6)[]> {
  const addresses = await readFile("/proc/net/if_inet6", "utf8").catch(() => undefined);
  return addresses === undefined ? [4] : [4, 6];
}
