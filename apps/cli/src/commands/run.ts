import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { command, meshOption, namespaceOption, parsePort } from "../command.ts";

/** Options of `lateen run` as given. */
export interface RunOptions {
  readonly service: string;
  readonly port: number;
  readonly namespace?: string;
  readonly version?: string;
  readonly serviceAccount?: string;
  readonly mesh: string;
}

/** `lateen run`: one process in a running mesh, behind a sidecar. */
export function runCommand(cli: Cli): Command {
  return command("run", "join one process to the running mesh behind a sidecar; ends with the command's exit code", [
    "lateen run --service hello --port 3000 -- node server.js",
    "lateen run --service reviews --version v4 --port 9080 -- npm start",
  ])
    .requiredOption("--service <name>", "service the process is an instance of; made when it does not exist")
    .addOption(
      new Option("--port <port>", "where the process listens, on 127.0.0.1").argParser(parsePort).makeOptionMandatory(),
    )
    .addOption(namespaceOption())
    .option("--version <version>", "label `version`, for subsets")
    .option("--service-account <name>", "identity of the process (default: default)")
    .addOption(meshOption())
    .argument("<command...>", "after `--`: the program and its arguments")
    .passThroughOptions()
    .action(async (argv: readonly string[], options: RunOptions) => {
      const { runJoined } = await import("../run/run-joined.ts");
      await runJoined(cli, options, argv);
    });
}
