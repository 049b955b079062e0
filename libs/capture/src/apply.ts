import { spawn } from "node:child_process";
import { rulesRefused } from "./errors.ts";
import type { CaptureOptions } from "./options.ts";
import { captureRules, withCapture, withoutCapture } from "./rules.ts";

/** How to run a program where the rules belong, such as `nsenter --net=… --`; empty: here. */
export interface RulesTarget {
  readonly prefix: readonly string[];
  /** Families that are there. Default both. */
  readonly families?: readonly (4 | 6)[];
  /** Nobody has put rules there yet, so none are looked for. */
  readonly fresh?: boolean;
}

const PROGRAMS = { 4: "iptables", 6: "ip6tables" } as const;

/**
 * Puts the rules in force, per family in one transaction: at no moment is there half a set, and rules from before are replaced.
 * @throws LTN6602 with what the program said.
 */
export async function applyCapture(options: CaptureOptions, target: RulesTarget): Promise<void> {
  await rewrite(target, (family, saved) => withCapture(saved, captureRules(family, options)));
}

/**
 * Takes capture out again, whoever put it in.
 * @throws LTN6602 with what the program said.
 */
export async function removeCapture(target: RulesTarget): Promise<void> {
  await rewrite(target, (_family, saved) => withoutCapture(saved));
}

async function rewrite(
  { prefix, families = [4, 6], fresh = false }: RulesTarget,
  table: (family: 4 | 6, saved: string) => string,
): Promise<void> {
  for (const family of families) {
    const program = PROGRAMS[family];
    const saved = fresh ? "" : await run([...prefix, `${program}-save`, "-t", "nat"], "");
    await run([...prefix, `${program}-restore`], table(family, saved));
  }
}

function run(argv: readonly string[], input: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const [command = "", ...rest] = argv;
  const program = argv.find((word) => word.startsWith("ip")) ?? command;
  const child = spawn(command, rest, { stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  let problem = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    problem += text;
  });
  child.on("error", (error) => reject(rulesRefused(program, error.message)));
  child.on("close", (code) => {
    if (code === 0) resolve(output);
    else reject(rulesRefused(program, problem.trim() || `it ended with ${code}`));
  });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return promise;
}
