import { homedir } from "node:os";
import type { StateDir } from "@lateen/local-runtime";
import { stateDir, stateRootOf } from "@lateen/local-runtime";

/** Where a command reads and writes; tests bring their own. */
export interface Cli {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  /** Results. */
  readonly out: (text: string) => void;
  /** Progress, warnings and errors. */
  readonly err: (text: string) => void;
  readonly outColor: boolean;
  readonly errColor: boolean;
  /** Whether progress may be redrawn in place. */
  readonly errIsTerminal: boolean;
  /** All of standard input as text. */
  readonly readInput: () => Promise<string>;
}

/** The command line of this process. */
export function processCli(): Cli {
  const { env } = process;
  const colorOf = (stream: { readonly isTTY?: boolean }) =>
    stream.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
  return {
    env,
    cwd: process.cwd(),
    home: homedir(),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    outColor: colorOf(process.stdout),
    errColor: colorOf(process.stderr),
    errIsTerminal: process.stderr.isTTY === true && env.TERM !== "dumb",
    readInput: readAll,
  };
}

/** The state directory of a mesh by its name. */
export function stateOf(cli: Cli, mesh: string): StateDir {
  return stateDir(stateRootOf(mesh, cli.env, cli.home));
}

async function readAll(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}
