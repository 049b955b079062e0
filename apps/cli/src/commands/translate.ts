import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, outputOption } from "../command.ts";
import { Exit, exitCodes } from "../exit.ts";
import { readSources } from "../mesh/documents.ts";

interface TranslateOptions {
  readonly filename?: readonly string[];
  readonly recursive?: boolean;
  readonly output: string;
}

/** `lateen translate`: Istio objects from Gateway API and Ingress. */
export function translateCommand(cli: Cli): Command {
  return command("translate", "print the Istio objects that Gateway API objects and Ingress are converted to", [
    "lateen translate -f routes/",
    "lateen translate -f ingress.yaml -o json",
  ])
    .addOption(fileOption("file, directory, or - for standard input"))
    .option("-R, --recursive", "also take the directories below")
    .addOption(outputOption("form of the output").default("yaml"))
    .action(async (options: TranslateOptions) => {
      const sources = await readSources(cli, options.filename, { recursive: options.recursive ?? false });
      const { translateSources } = await import("../offline/translate.ts");
      const { objects, invalid } = translateSources(cli, sources);
      if (options.output === "json") {
        cli.out(`${JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }, null, 2)}\n`);
      } else {
        const { toYaml } = await import("../output/yaml.ts");
        cli.out(objects.map(toYaml).join("---\n"));
      }
      if (objects.length === 0)
        cli.err("nothing to translate: no Gateway API object or Ingress of this mesh's class\n");
      if (invalid) throw new Exit(exitCodes.badInput);
    });
}
