import { LateenError } from "@lateen/kernel";
import { Command, CommanderError } from "commander";
import type { Cli } from "./cli.ts";
import { analyzeCommand } from "./commands/analyze.ts";
import { applyCommand } from "./commands/apply.ts";
import { captureCommand } from "./commands/capture.ts";
import { checkCommand } from "./commands/check.ts";
import { completionCommand } from "./commands/completion.ts";
import { deleteCommand } from "./commands/delete.ts";
import { describeCommand } from "./commands/describe.ts";
import { downCommand } from "./commands/down.ts";
import { explainCommand } from "./commands/explain.ts";
import { getCommand } from "./commands/get.ts";
import { installCommand } from "./commands/install.ts";
import { kubeInjectCommand } from "./commands/kube-inject.ts";
import { logsCommand } from "./commands/logs.ts";
import { manifestCommand } from "./commands/manifest.ts";
import { proxyConfigCommand } from "./commands/proxy-config.ts";
import { proxyStatusCommand } from "./commands/proxy-status.ts";
import { routeCommand } from "./commands/route.ts";
import { runCommand } from "./commands/run.ts";
import { serveCommand } from "./commands/serve.ts";
import { statusCommand } from "./commands/status.ts";
import { tagCommand } from "./commands/tag.ts";
import { translateCommand } from "./commands/translate.ts";
import { uninstallCommand } from "./commands/uninstall.ts";
import { upCommand } from "./commands/up.ts";
import { validateCommand } from "./commands/validate.ts";
import { versionCommand } from "./commands/version.ts";
import { xdsCommand } from "./commands/xds.ts";
import { Exit, exitCodeOf, exitCodes } from "./exit.ts";
import { paint } from "./output/color.ts";
import { TookOver } from "./took-over.ts";
import { VERSION } from "./version.ts";

/** The whole command tree. Commands import what they need only when they run: a command that asks a question starts at once. */
export function createProgram(cli: Cli): Command {
  const program = new Command("lateen")
    .description("A service mesh: run it on this machine, change it, look into it.")
    .version(VERSION, "-V, --version", "print the version of this program")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show help for a command")
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .addHelpText(
      "after",
      "\nExamples:\n  lateen up -f samples/bookinfo      run the sample as a live mesh\n  lateen status                      what is running\n  lateen apply -f rule.yaml --wait   change it and wait until every proxy has it\n\nExit codes: 0 ok, 64 usage, 65 bad input, 69 unavailable, 79 findings.",
    );
  for (const make of [
    ...[upCommand, downCommand, statusCommand, logsCommand, runCommand],
    ...[applyCommand, getCommand, deleteCommand],
    ...[validateCommand, analyzeCommand, translateCommand, xdsCommand, routeCommand, explainCommand, describeCommand],
    ...[proxyStatusCommand, proxyConfigCommand],
    ...[kubeInjectCommand, captureCommand],
    ...[installCommand, uninstallCommand, manifestCommand, tagCommand, checkCommand],
    ...[serveCommand, versionCommand],
  ])
    program.addCommand(make(cli));
  program.addCommand(completionCommand(cli, () => program));
  for (const each of [program, ...program.commands]) prepare(each, cli);
  return program;
}

/**
 * Runs one command line.
 * @param argv arguments after the program's name.
 * @returns the exit code; undefined when a long-running app has taken over the process.
 */
export async function runCli(argv: readonly string[], cli: Cli): Promise<number | undefined> {
  try {
    await createProgram(cli).parseAsync([...argv], { from: "user" });
    return exitCodes.ok;
  } catch (error) {
    if (error instanceof TookOver) return undefined;
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    if (!(error instanceof Exit)) report(cli, error);
    return exitCodeOf(error);
  }
}

function prepare(each: Command, cli: Cli): void {
  each.exitOverride();
  each.configureOutput({
    writeOut: cli.out,
    writeErr: cli.err,
    getOutHasColors: () => cli.outColor,
    getErrHasColors: () => cli.errColor,
    outputError: (text, write) => write(paint(cli.errColor).bad(text)),
  });
  for (const inner of each.commands) prepare(inner, cli);
}

function report(cli: Cli, error: unknown): void {
  const { bad } = paint(cli.errColor);
  if (error instanceof LateenError) {
    cli.err(`${bad("error:")} ${error.message} (${error.code})\n${error.hint ? `  ${error.hint}\n` : ""}`);
    return;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  cli.err(`${bad("internal error:")} ${text}\n`);
}
