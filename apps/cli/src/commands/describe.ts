import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, formatOf, meshOption, namespaceOption, outputOption } from "../command.ts";
import type { WorldOptions } from "../offline/mesh-objects.ts";

/** Options of `lateen describe` as given. */
export interface DescribeOptions extends WorldOptions {
  readonly namespace?: string;
  readonly output?: string;
}

/** `lateen describe`: what applies to a pod or service. */
export function describeCommand(cli: Cli): Command {
  const group = command("describe", "tell what applies to a pod or a service", [
    "lateen describe pod reviews-v1",
    "lateen describe service reviews -f mesh/ -o json",
  ]);
  for (const what of ["pod", "service"] as const) group.addCommand(describeOne(cli, what));
  return group;
}

function describeOne(cli: Cli, what: "pod" | "service"): Command {
  const describe =
    what === "pod"
      ? "its proxy, services, rules for its callers, mTLS mode and authorization policies"
      : "its ports, endpoints, rules for its callers, and the gateways that lead to it";
  return command(what, describe, [
    `lateen describe ${what} reviews${what === "pod" ? "-v1" : ""}`,
    `lateen describe ${what} reviews${what === "pod" ? "-v1" : ""} -f mesh/ -o json`,
  ])
    .argument("<name>", what === "pod" ? "pod or workload, also with .NAMESPACE" : "service, also with .NAMESPACE")
    .addOption(fileOption("file or directory of configuration; without it the running mesh is asked"))
    .option("-R, --recursive", "also take the directories below")
    .option("--mesh-config <file>", "mesh configuration (MeshConfig YAML, or the ConfigMap `istio`)")
    .addOption(namespaceOption())
    .addOption(meshOption())
    .addOption(outputOption())
    .action(async (name: string, options: DescribeOptions) => {
      const { describePod, describeService } = await import("../offline/describe.ts");
      const show = what === "pod" ? describePod : describeService;
      await show(cli, name, options, formatOf(options.output));
    });
}
