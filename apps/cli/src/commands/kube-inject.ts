import { type Command, InvalidArgumentError } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, namespaceOption } from "../command.ts";
import { readSources, type SourceText } from "../mesh/documents.ts";

interface KubeInjectOptions {
  readonly filename?: readonly string[];
  readonly recursive?: boolean;
  readonly namespace?: string;
  readonly meshConfigFile?: string;
  readonly injectConfigFile?: string;
  readonly valuesFile?: string;
  readonly proxyConfigFile?: string;
  readonly set: readonly string[];
  readonly revision?: string;
  readonly kubernetesVersion?: number;
}

/** `lateen kube-inject`: the sidecars that the webhook would put in, in files. */
export function kubeInjectCommand(cli: Cli): Command {
  return command("kube-inject", "put sidecars into workloads' YAML, as the webhook of a cluster does", [
    "lateen kube-inject -f deployment.yaml | kubectl apply -f -",
    "lateen kube-inject -f app/ --meshConfigFile mesh.yaml --set global.proxy.autoInject=disabled",
  ])
    .addOption(fileOption("file, directory, or - for standard input"))
    .option("-R, --recursive", "also take the directories below")
    .addOption(namespaceOption())
    .option("--meshConfigFile <file>", "mesh configuration (MeshConfig YAML, or the ConfigMap `istio`)")
    .option("--injectConfigFile <file>", "injection configuration (YAML, or the ConfigMap `istio-sidecar-injector`)")
    .option("--valuesFile <file>", "values of the installation (YAML or JSON)")
    .option(
      "--proxyConfigFile <file>",
      "ProxyConfig objects that hold beside those among the files (file or directory)",
    )
    .option(
      "--set <path=value>",
      "one value, repeatable; \\. is a dot within a name, [n] an item of a list",
      collect,
      [],
    )
    .option("--revision <name>", "revision of the control plane")
    .option("--kubernetes-version <1.minor>", "version of the cluster, which decides on native sidecars", minorOf)
    .action(async (options: KubeInjectOptions) => {
      const sources = await readSources(cli, options.filename, { recursive: options.recursive ?? false });
      const given = async (path: string | undefined): Promise<SourceText | undefined> =>
        path === undefined ? undefined : (await readSources(cli, [path]))[0];
      const { injectSources } = await import("../offline/kube-inject.ts");
      const text = injectSources(cli, sources, {
        mesh: await given(options.meshConfigFile),
        config: await given(options.injectConfigFile),
        values: await given(options.valuesFile),
        set: [...options.set, ...(options.revision === undefined ? [] : [`revision=${options.revision}`])],
        kubernetesMinor: options.kubernetesVersion,
        proxyConfigs: options.proxyConfigFile === undefined ? [] : await readSources(cli, [options.proxyConfigFile]),
        namespace: options.namespace ?? "default",
      });
      cli.out(text);
    });
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function minorOf(text: string): number {
  const minor = /^v?1\.(\d{1,3})(\.|\+|-|$)/.exec(text)?.[1];
  if (minor === undefined) throw new InvalidArgumentError("a version is written 1.34");
  return Number(minor);
}
