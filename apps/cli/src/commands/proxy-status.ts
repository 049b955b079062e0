import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, formatOf, meshOption, outputOption } from "../command.ts";
import { MeshClient } from "../mesh/client.ts";
import { printResult } from "../output/format.ts";

/** `lateen proxy-status`: which proxy has which configuration. */
export function proxyStatusCommand(cli: Cli): Command {
  return command("proxy-status", "show whether each proxy has acknowledged its newest configuration", [
    "lateen proxy-status",
    "lateen proxy-status reviews-v1",
  ])
    .alias("ps")
    .argument("[workload]", "only this pod or workload, with what it refused")
    .addOption(meshOption())
    .addOption(outputOption())
    .action(async (workload: string | undefined, options: { readonly mesh: string; readonly output?: string }) => {
      const { proxyStatuses, proxyStatusText } = await import("../proxy/status.ts");
      const client = new MeshClient(cli, options.mesh);
      const statuses = proxyStatuses(await client.get("/debug/syncz"), workload);
      await printResult(cli, formatOf(options.output), statuses, () =>
        proxyStatusText(statuses, workload !== undefined),
      );
    });
}
