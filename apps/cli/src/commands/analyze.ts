import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { command, namespaceOption } from "../command.ts";
import { type AnalyzeLevel, analyzeLevels } from "../offline/analyze-levels.ts";

/** Options of `lateen analyze` as given. */
export interface AnalyzeOptions {
  readonly recursive?: boolean;
  readonly meshConfigFile?: string;
  readonly suppress?: readonly string[];
  readonly failureThreshold: AnalyzeLevel;
  readonly outputThreshold: AnalyzeLevel;
  readonly namespace?: string;
  readonly output: "log" | "json" | "yaml";
}

/** `lateen analyze`: what only shows when objects are seen together. */
export function analyzeCommand(cli: Cli): Command {
  return command("analyze", "find what is wrong between objects: names that lead nowhere, rules in each other's way", [
    "lateen analyze mesh/",
    "lateen analyze mesh/ -o json --failure-threshold Warning",
    "lateen analyze mesh/ --suppress 'IST0118=Service default.*'",
  ])
    .argument("<file...>", "files and directories of configuration; - for standard input")
    .option("-R, --recursive", "also take the directories below")
    .option("--meshConfigFile <file>", "mesh configuration (MeshConfig YAML, or the ConfigMap `istio`)")
    .option("-S, --suppress <CODE=KIND NAME.NAMESPACE...>", "findings not to report; * stands for any text")
    .addOption(level("--failure-threshold <level>", "end with 79 from this level on").default("Error"))
    .addOption(level("--output-threshold <level>", "report from this level on").default("Info"))
    .addOption(namespaceOption())
    .addOption(
      new Option("-o, --output <format>", "form of the output").choices(["log", "json", "yaml"]).default("log"),
    )
    .action(async (paths: readonly string[], options: AnalyzeOptions) => {
      const { analyzeFiles } = await import("../offline/analyze.ts");
      await analyzeFiles(cli, paths, options);
    });
}

function level(flags: string, describe: string): Option {
  return new Option(flags, describe).choices(analyzeLevels).argParser((text) => {
    const found = analyzeLevels.find((one) => one.toLowerCase() === text.toLowerCase());
    return found ?? text;
  });
}
