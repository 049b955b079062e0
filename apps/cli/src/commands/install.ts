import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command } from "../command.ts";
import { usageError } from "../errors.ts";
import { clusterOptions, settingOption } from "../kubernetes/options.ts";

interface InstallOptions {
  readonly set: readonly string[];
  readonly yes?: boolean;
  readonly wait: boolean;
  readonly timeout: string;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** `lateen install`: the mesh in a Kubernetes cluster. */
export function installCommand(cli: Cli): Command {
  const install = command("install", "install the mesh in a Kubernetes cluster, or change an installation", [
    "lateen install -y",
    "lateen install --set profile=demo -y",
    "lateen install --set revision=canary --set tag=1.2 -y",
    "lateen install --set hub=registry.example/mesh --set tag=1.2 --context staging -y",
  ])
    .addOption(settingOption())
    .option("-y, --yes", "do it; without this, say what would be done")
    .option("--no-wait", "return as soon as everything is applied, not when it is ready")
    .option("--timeout <duration>", "how long each component may take to be ready", "300s");
  for (const option of clusterOptions()) install.addOption(option);
  return install.action(async (options: InstallOptions) => {
    const { installation } = await import("../kubernetes/installation.ts");
    const planned = installation(options.set);
    const { profile, hub, tag, revision } = planned.settings;
    const name = revision === "default" ? `profile ${profile}` : `revision ${revision}, profile ${profile}`;
    const what = `${name}, images ${hub}/*:${tag}, ${planned.objects.length} objects in istio-system and the cluster`;
    if (options.yes !== true) throw usageError(`this would install ${what}`, "say -y to do it");
    const [{ applyInstallation }, { Kubectl }] = await Promise.all([
      import("../kubernetes/apply.ts"),
      import("../kubernetes/kubectl.ts"),
    ]);
    cli.err(`installing ${what}\n`);
    await applyInstallation(cli, new Kubectl(cli, options), planned, options);
    cli.out(`installed: ${name}\n`);
  });
}
