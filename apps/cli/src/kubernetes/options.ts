import { Option } from "commander";

/** `--set name=value`, repeatable. */
export function settingOption(): Option {
  return new Option(
    "--set <name=value>",
    "a setting, repeatable: profile=minimal|default|demo, revision, hub, tag, global.imagePullPolicy, global.multiCluster.clusterName, meshConfig.trustDomain",
  )
    .default([], "profile=default")
    .argParser((text: string, before: readonly string[] = []) => [...before, text]);
}

/** `--kubeconfig` and `--context`, as kubectl has them. */
export function clusterOptions(): readonly Option[] {
  return [
    new Option("--kubeconfig <file>", "as kubectl's"),
    new Option("--context <name>", "context of the kubeconfig; default: its current one"),
  ];
}
