import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, meshOption } from "../command.ts";
import { MeshClient } from "../mesh/client.ts";

interface LogsOptions {
  readonly mesh: string;
  readonly container?: string;
  readonly tail: string;
  readonly follow?: boolean;
}

/** `lateen logs`: what a workload, its proxy or the control plane printed. */
export function logsCommand(cli: Cli): Command {
  return command("logs", "show what a workload, its sidecar or the control plane printed", [
    "lateen logs reviews-v1 --follow",
    "lateen logs productpage-v1 -c istio-proxy",
    "lateen logs control-plane --tail 20",
  ])
    .argument("<workload>", "pod or workload, or `control-plane`, or one of its components: `pilot-1`")
    .addOption(meshOption())
    .option("-c, --container <name>", "`istio-proxy` for the sidecar's lines")
    .option("--tail <lines>", "how many of the last lines", "100")
    .option("-f, --follow", "stay and show new lines as they come")
    .action(async (workload: string, options: LogsOptions) => {
      const query = new URLSearchParams({ name: workload, tail: options.tail });
      if (options.container !== undefined) query.set("container", options.container);
      if (options.follow) query.set("follow", "true");
      const answer = await new MeshClient(cli, options.mesh).open(`/logs?${query}`);
      answer.setEncoding("utf8");
      for await (const text of answer) cli.out(String(text));
    });
}
