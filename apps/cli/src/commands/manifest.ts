import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, outputOption } from "../command.ts";
import { settingOption } from "../kubernetes/options.ts";

interface GenerateOptions {
  readonly set: readonly string[];
  readonly output: string;
}

/** `lateen manifest generate`: what `install` would apply. */
export function manifestCommand(cli: Cli): Command {
  const group = command("manifest", "the Kubernetes objects of an installation", [
    "lateen manifest generate --set profile=minimal",
  ]);
  group.addCommand(
    command("generate", "print what `lateen install` would apply; no cluster is asked", [
      "lateen manifest generate --set profile=demo | kubectl apply --server-side -f -",
      "lateen manifest generate --set hub=registry.example/mesh --set tag=1.2 -o json",
    ])
      .addOption(settingOption())
      .addOption(outputOption("form of the output").default("yaml"))
      .action(async (options: GenerateOptions) => {
        const { installation } = await import("../kubernetes/installation.ts");
        const { objects } = installation(options.set);
        if (options.output === "json") {
          cli.out(`${JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }, null, 2)}\n`);
          return;
        }
        const { toYaml } = await import("../output/yaml.ts");
        cli.out(objects.map(toYaml).join("---\n"));
      }),
  );
  return group;
}
