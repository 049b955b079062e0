import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command } from "../command.ts";
import { usageError } from "../errors.ts";
import { clusterOptions } from "../kubernetes/options.ts";

interface UninstallOptions {
  readonly yes?: boolean;
  readonly purge?: boolean;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** `lateen uninstall`: takes the mesh out of a Kubernetes cluster. */
export function uninstallCommand(cli: Cli): Command {
  const uninstall = command("uninstall", "take the mesh out of a Kubernetes cluster; rules and CA stay unless purged", [
    "lateen uninstall -y",
    "lateen uninstall --purge -y",
  ])
    .option("-y, --yes", "do it")
    .option(
      "--purge",
      "also remove the custom resource definitions with everybody's rules, and istio-system with the CA",
    );
  for (const option of clusterOptions()) uninstall.addOption(option);
  return uninstall.action(async (options: UninstallOptions) => {
    const purge = options.purge === true;
    if (options.yes !== true) {
      const also = purge ? ", its rules and its CA" : "";
      throw usageError(
        `this would take the mesh${also} out of the cluster; pods keep their proxies`,
        "say -y to do it",
      );
    }
    const [{ removeInstallation }, { Kubectl }] = await Promise.all([
      import("../kubernetes/apply.ts"),
      import("../kubernetes/kubectl.ts"),
    ]);
    const count = await removeInstallation(cli, new Kubectl(cli, options), purge);
    cli.out(count === 0 ? "nothing was installed\n" : `removed: ${count} objects\n`);
  });
}
