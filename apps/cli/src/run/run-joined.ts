import { spawn } from "node:child_process";
import type { IncomingMessage } from "node:http";
import { constants } from "node:os";
import { createInterface } from "node:readline";
import type { RunEvent, RunRequest } from "@lateen/local-runtime";
import type { Cli } from "../cli.ts";
import type { RunOptions } from "../commands/run.ts";
import { meshUnavailable, usageError } from "../errors.ts";
import { Exit } from "../exit.ts";
import { MeshClient } from "../mesh/client.ts";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"] as const;

/** Registers the process, runs it with its place in the mesh in the environment, and ends as it ends. */
export async function runJoined(cli: Cli, options: RunOptions, argv: readonly string[]): Promise<void> {
  const client = new MeshClient(cli, options.mesh);
  const request: RunRequest = {
    service: options.service,
    port: options.port,
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
    ...(options.version === undefined ? {} : { version: options.version }),
    ...(options.serviceAccount === undefined ? {} : { serviceAccount: options.serviceAccount }),
  };
  const session = await client.open("/run", request);
  const joined = await joinedEvent(session);
  cli.err(`joined as ${joined.pod}.${joined.namespace} at ${joined.address}\n`);
  let code: number;
  try {
    code = await runProgram(cli, [...(joined.prefix ?? []), ...argv], { PORT: String(options.port), ...joined.env });
  } finally {
    // The reply comes when the pod is out of the endpoints; a mesh that is gone has nothing to leave.
    await client.post(`/run/${encodeURIComponent(joined.pod)}/leave`, {}).catch(() => undefined);
    session.destroy();
  }
  throw new Exit(code);
}

type JoinedEvent = Extract<RunEvent, { type: "joined" }>;

function joinedEvent(session: IncomingMessage): Promise<JoinedEvent> {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: session });
    lines.on("line", (line) => {
      const event = JSON.parse(line) as RunEvent;
      if (event.type === "joined") resolve(event);
    });
    // The stream's failure comes through the lines as well; that it is over is told by `close`.
    lines.on("error", () => {});
    session.once("close", () => reject(meshUnavailable("the mesh ended before the process could join")));
    session.on("error", () => {});
  });
}

/** The exit code as a shell tells it: 128 + n for a signal, 126 and 127 for a program that cannot be run. */
function runProgram(cli: Cli, argv: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const [program, ...rest] = argv;
  if (program === undefined) throw usageError("nothing to run: write the command after `--`");
  return new Promise((resolve) => {
    const forward = (signal: NodeJS.Signals) => void child.kill(signal);
    // Before the program starts: it may signal us in its first instruction. Handlers run after this turn, so `child` is set.
    for (const signal of FORWARDED) process.on(signal, forward);
    const child = spawn(program, rest, { stdio: "inherit", cwd: cli.cwd, env: { ...cli.env, ...env } });
    const done = (code: number) => {
      for (const signal of FORWARDED) process.off(signal, forward);
      resolve(code);
    };
    child.once("error", (error) => {
      cli.err(`${program}: ${error.message}\n`);
      done("code" in error && error.code === "ENOENT" ? 127 : 126);
    });
    child.once("exit", (code, signal) => done(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
