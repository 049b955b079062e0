import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, outputOption } from "../command.ts";
import { Exit, exitCodes } from "../exit.ts";
import { readSources } from "../mesh/documents.ts";
import { printResult } from "../output/format.ts";

interface XdsOptions {
  readonly filename?: readonly string[];
  readonly recursive?: boolean;
  readonly node: string;
  readonly meshConfig?: string;
  readonly clusterId: string;
  readonly output: string;
}

/** `lateen xds`: what pilot would serve a node, without a mesh. */
export function xdsCommand(cli: Cli): Command {
  return command("xds", "print what pilot would serve a proxy, computed from files", [
    "lateen xds -f mesh/ --node node.json -o json",
    'echo \'{"id":"sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local"}\' | lateen xds -f mesh/ --node -',
  ])
    .addOption(fileOption("file or directory of configuration, Pods and Endpoints included"))
    .option("-R, --recursive", "also take the directories below")
    .requiredOption("--node <file>", "the proxy as an Envoy v3 Node in JSON; - for standard input")
    .option("--mesh-config <file>", "mesh configuration (MeshConfig YAML, or the ConfigMap `istio`)")
    .option("--cluster-id <name>", "name of the cluster", "Kubernetes")
    .addOption(outputOption("form of the output").default("json"))
    .action(async (options: XdsOptions) => {
      const sources = await readSources(cli, options.filename, { recursive: options.recursive ?? false });
      const [node] = await readSources(cli, [options.node]);
      const mesh = options.meshConfig === undefined ? undefined : (await readSources(cli, [options.meshConfig]))[0];
      const { previewXds } = await import("../offline/xds.ts");
      const preview = previewXds(cli, { sources, node: node?.text ?? "", mesh, clusterId: options.clusterId });
      await printResult(cli, options.output === "yaml" ? "yaml" : "json", preview.resources, () => "");
      if (preview.invalid) throw new Exit(exitCodes.badInput);
    });
}
