import { parseDuration } from "@lateen/kernel";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, formatOf, meshOption, outputOption } from "../command.ts";
import { badFile } from "../errors.ts";
import { Exit, exitCodes } from "../exit.ts";
import { type ChangeAnswer, type ChangeResult, tellProblems, waitForProxies } from "../mesh/changes.ts";
import { MeshClient, shortPath } from "../mesh/client.ts";
import { readSources } from "../mesh/documents.ts";
import { printResult } from "../output/format.ts";

const DEFAULT_WAIT_MS = 30_000;

interface ApplyOptions {
  readonly filename?: readonly string[];
  readonly recursive?: boolean;
  readonly takeOver?: boolean;
  /** true without a duration. */
  readonly wait?: number | true;
  readonly mesh: string;
  readonly output?: string;
}

/** `lateen apply`: puts objects in force in the running mesh. */
export function applyCommand(cli: Cli): Command {
  return command("apply", "put objects in force in the running mesh; they survive a restart", [
    "lateen apply -f rule.yaml --wait",
    "cat rule.yaml | lateen apply -f -",
  ])
    .addOption(fileOption("file, directory, or - for standard input"))
    .option("-R, --recursive", "also take the directories below")
    .option("--take-over", "take objects over that belong to a watched file")
    .addOption(
      new Option("--wait [duration]", "return when every affected proxy has it; default 30s").argParser(waitDuration),
    )
    .addOption(meshOption())
    .addOption(outputOption())
    .action((options: ApplyOptions) => apply(cli, options));
}

async function apply(cli: Cli, options: ApplyOptions): Promise<void> {
  const documents = await readSources(cli, options.filename, { recursive: options.recursive ?? false });
  const client = new MeshClient(cli, options.mesh);
  const { objectLabel } = await import("../mesh/kinds.ts");
  const answer = await client.post<ChangeAnswer<ChangeResult>>("/config/apply", {
    documents,
    takeOver: options.takeOver ?? false,
  });
  if (answer.results.length === 0) {
    throw badFile(
      documents.map(({ file }) => shortPath(cli, file)).join(", ") || "(no files)",
      "there are no objects in it",
    );
  }
  tellProblems(cli, answer.results);
  await printResult(cli, formatOf(options.output), answer, () =>
    answer.results
      .filter(({ action }) => action !== "rejected")
      .map(({ kind, name, action }) => `${objectLabel(kind, name)} ${action}\n`)
      .join(""),
  );
  const changed = answer.results.some(({ action }) => action === "created" || action === "configured");
  if (options.wait !== undefined && changed) {
    await waitForProxies(cli, client, answer.revision, options.wait === true ? DEFAULT_WAIT_MS : options.wait);
  }
  if (answer.results.some(({ action }) => action === "rejected")) throw new Exit(exitCodes.badInput);
}

/** The duration of `--wait`, in milliseconds. */
export function waitDuration(text: string): number {
  const duration = parseDuration(text);
  if (!duration.ok) throw new InvalidArgumentError(duration.error);
  return duration.value;
}
