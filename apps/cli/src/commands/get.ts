import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, formatOf, meshOption, namespaceOption, outputOption } from "../command.ts";
import { MeshClient } from "../mesh/client.ts";

/** Options of `lateen get` as given. */
export interface GetOptions {
  readonly namespace?: string;
  readonly allNamespaces?: boolean;
  readonly mesh: string;
  readonly output?: string;
}

/** `lateen get`: the configuration that is in force. */
export function getCommand(cli: Cli): Command {
  return command("get", "show objects that are in force, with their status", [
    "lateen get virtualservices",
    "lateen get vs reviews -o yaml",
    "lateen get services,gateways -A",
    "lateen get all",
  ])
    .argument("<kinds>", "kind, plural or short name; several with commas; `all`; or KIND/NAME")
    .argument("[name]", "only this object")
    .addOption(namespaceOption())
    .option("-A, --all-namespaces", "of every namespace")
    .addOption(meshOption())
    .addOption(outputOption())
    .action(async (kinds: string, name: string | undefined, options: GetOptions) => {
      const { getObjects } = await import("../get/get-objects.ts");
      await getObjects(cli, new MeshClient(cli, options.mesh), {
        kinds,
        name,
        namespace: options.namespace,
        allNamespaces: options.allNamespaces ?? false,
        format: formatOf(options.output),
      });
    });
}
