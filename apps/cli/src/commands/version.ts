import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, formatOf, meshOption, outputOption } from "../command.ts";
import { MeshClient } from "../mesh/client.ts";
import { printResult } from "../output/format.ts";
import { VERSION } from "../version.ts";

/** `lateen version`: this program, its Node.js, and the running mesh if there is one. */
export function versionCommand(cli: Cli): Command {
  return command("version", "show the version of this program and of the running mesh", [
    "lateen version",
    "lateen version -o json",
  ])
    .addOption(meshOption())
    .addOption(outputOption())
    .action(async (options: { readonly mesh: string; readonly output?: string }) => {
      const mesh = await runningMesh(cli, options.mesh);
      const value = { client: { version: VERSION, node: process.version }, mesh };
      await printResult(cli, formatOf(options.output), value, () => {
        const running =
          mesh === null ? "mesh: not running" : `mesh ${mesh.name}: ${mesh.version}, ${mesh.proxies} proxies`;
        return `client: ${VERSION} (Node.js ${process.version})\n${running}\n`;
      });
    });
}

async function runningMesh(cli: Cli, name: string) {
  try {
    const status = await new MeshClient(cli, name).status();
    const proxies = status.workloads.length + status.gateways.length;
    return { name, version: status.version, proxies };
  } catch {
    return null;
  }
}
