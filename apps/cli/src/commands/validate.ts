import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, formatOf, namespaceOption, outputOption } from "../command.ts";
import { Exit, exitCodes } from "../exit.ts";
import { readSources } from "../mesh/documents.ts";
import { paint } from "../output/color.ts";
import { printResult } from "../output/format.ts";

interface ValidateOptions {
  readonly filename?: readonly string[];
  readonly recursive?: boolean;
  readonly namespace?: string;
  readonly output?: string;
}

/** `lateen validate`: checks files without a mesh. */
export function validateCommand(cli: Cli): Command {
  return command("validate", "check files without a mesh; exit code 65 when an object is invalid", [
    "lateen validate -f rules/",
    "lateen validate -f mesh.yaml -o json",
  ])
    .addOption(fileOption("file, directory, or - for standard input"))
    .option("-R, --recursive", "also take the directories below")
    .addOption(namespaceOption())
    .addOption(outputOption())
    .action(async (options: ValidateOptions) => {
      const sources = await readSources(cli, options.filename, { recursive: options.recursive ?? false });
      const { validateSources, validationText } = await import("../offline/validate.ts");
      const results = validateSources(cli, sources, options.namespace ?? "default");
      await printResult(cli, formatOf(options.output), { results }, () => validationText(results, paint(cli.outColor)));
      if (results.some(({ valid }) => !valid)) throw new Exit(exitCodes.badInput);
    });
}
