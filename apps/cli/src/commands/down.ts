import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, meshOption } from "../command.ts";

/** `lateen down`: ends a mesh and whatever an earlier one left behind. */
export function downCommand(cli: Cli): Command {
  return command("down", "stop the mesh and everything it started", ["lateen down", "lateen down --mesh blue"])
    .addOption(meshOption())
    .action(async (options: { readonly mesh: string }) => {
      const { stopMesh } = await import("../up/stop-mesh.ts");
      await stopMesh(cli, options.mesh);
    });
}
