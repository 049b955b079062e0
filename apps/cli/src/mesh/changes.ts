import type { Cli } from "../cli.ts";
import { Exit, exitCodes } from "../exit.ts";
import { paint } from "../output/color.ts";
import { type MeshClient, shortenPaths } from "./client.ts";

/** What galley answers for one object. */
export interface ChangeResult {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly action: string;
  readonly errors: readonly string[];
  readonly warnings?: readonly string[];
}

/** What galley answers to a change. */
export interface ChangeAnswer<R extends ChangeResult> {
  readonly revision: number;
  readonly results: readonly R[];
}

/** Warnings and errors of a change, on stderr. */
export function tellProblems(cli: Cli, results: readonly ChangeResult[]): void {
  const ink = paint(cli.errColor);
  for (const { errors, warnings = [], kind, namespace, name } of results) {
    for (const warning of warnings) cli.err(`${ink.warn("warning:")} ${shortenPaths(cli, warning)}\n`);
    for (const error of errors) {
      const named = name === "" ? "" : `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}: `;
      cli.err(`${ink.bad("error:")} ${named}${shortenPaths(cli, error)}\n`);
    }
  }
}

/**
 * Waits until every proxy that a revision concerns has acknowledged it.
 * @throws Exit 69 when some have not in time; they are named.
 */
export async function waitForProxies(cli: Cli, client: MeshClient, revision: number, timeoutMs: number): Promise<void> {
  const answer = await client.get<{ readonly synced: boolean; readonly laggards: readonly string[] }>(
    `/debug/wait?revision=${revision}&timeoutMs=${timeoutMs}`,
    timeoutMs + 10_000,
  );
  if (answer.synced) return;
  cli.err(
    `revision ${revision} is in force, but these proxies have not acknowledged it: ${answer.laggards.join(", ")}\n`,
  );
  throw new Exit(exitCodes.unavailable);
}
