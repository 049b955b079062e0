import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createStateDir } from "@lateen/local-runtime";
import { type Cli, stateOf } from "../cli.ts";
import type { UpOptions } from "../commands/up.ts";
import { Exit, exitCodes } from "../exit.ts";
import type { DetachMessage } from "./foreground.ts";
import { Narrator } from "./narrator.ts";

/** Starts the same command in the background and waits until its mesh is ready. */
export async function runDetached(
  cli: Cli,
  {
    options,
    paths,
    timeoutMs,
  }: { readonly options: UpOptions; readonly paths: readonly string[]; readonly timeoutMs: number },
): Promise<void> {
  const state = await createStateDir(stateOf(cli, options.mesh).root);
  const output = join(state.logs, "up.log");
  const fd = openSync(output, "w", 0o600);
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? "", ...upArguments(options, paths)], {
    detached: true,
    cwd: cli.cwd,
    env: { ...cli.env, NO_COLOR: "1" },
    stdio: ["ignore", fd, fd, "ipc"],
  });
  closeSync(fd);
  const narrator = new Narrator(cli, { showLines: false, startedAt: performance.now() });
  const outcome = await new Promise<"ready" | "late" | { readonly code: number }>((settle) => {
    const timer = setTimeout(() => settle("late"), timeoutMs);
    child.on("message", (message: DetachMessage) => {
      if (message.type !== "event") return;
      narrator.tell(message.event, undefined);
      if (message.event.type === "ready") settle("ready");
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      settle({ code: code ?? exitCodes.internal });
    });
    child.once("error", (error) => {
      cli.err(`${error.message}\n`);
      settle({ code: exitCodes.unavailable });
    });
  });
  if (typeof outcome === "object") {
    cli.err(readFileSync(output, "utf8"));
    throw new Exit(outcome.code === 0 ? exitCodes.unavailable : outcome.code);
  }
  child.removeAllListeners();
  if (child.connected) child.disconnect();
  child.unref();
  if (outcome === "late") {
    cli.err(`not ready within ${options.timeout}; it goes on in the background, see \`lateen status\`\n`);
    throw new Exit(exitCodes.unavailable);
  }
  const { MeshClient } = await import("../mesh/client.ts");
  const status = await new MeshClient(cli, options.mesh).status();
  const ingress = status.gateways.flatMap((gateway) => gateway.ports)[0];
  if (ingress !== undefined) cli.out(`http://localhost:${ingress.listen}\n`);
  cli.err(`stop it with \`lateen down${options.mesh === "default" ? "" : ` --mesh ${options.mesh}`}\`\n`);
}

function upArguments(options: UpOptions, paths: readonly string[]): readonly string[] {
  return [
    ...["up", "--mesh", options.mesh, "--capture", options.capture],
    ...["--control-plane", options.controlPlane, "--replicas", String(options.replicas), "--nats", options.nats],
    ...paths.flatMap((path) => ["-f", path]),
    ...(options.ingressPort === undefined ? [] : ["--ingress-port", String(options.ingressPort)]),
    "--no-logs",
  ];
}
