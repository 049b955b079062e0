import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command } from "../command.ts";
import { usageError } from "../errors.ts";
import { clusterOptions } from "../kubernetes/options.ts";

interface UninstallOptions {
  readonly yes?: boolean;
  readonly purge?: boolean;
  readonly revision?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** `lateen uninstall`: takes the mesh out of a Kubernetes cluster. */
export function uninstallCommand(cli: Cli): Command {
  const uninstall = command("uninstall", "take the mesh out of a Kubernetes cluster; rules and CA stay unless purged", [
    "lateen uninstall -y",
    "lateen uninstall --revision canary -y",
    "lateen uninstall --purge -y",
  ])
    .option("-y, --yes", "do it")
    .option("--revision <name>", "only this revision, with its tags; others stay whole (default: all of them)")
    .option(
      "--purge",
      "also remove the custom resource definitions with everybody's rules, and istio-system with the CA",
    );
  for (const option of clusterOptions()) uninstall.addOption(option);
  return uninstall.action(async (options: UninstallOptions) => {
    const { revision, purge = false } = options;
    if (revision !== undefined && purge)
      throw usageError("--revision takes out one revision, --purge everything", "say one of them");
    if (options.yes !== true) {
      const also = purge ? ", its rules and its CA" : "";
      const what = revision === undefined ? `the mesh${also}` : `revision ${revision}`;
      throw usageError(`this would take ${what} out of the cluster; pods keep their proxies`, "say -y to do it");
    }
    const [{ removeInstallation }, { Kubectl }] = await Promise.all([
      import("../kubernetes/apply.ts"),
      import("../kubernetes/kubectl.ts"),
    ]);
    const removal = revision === undefined ? { purge } : { revision };
    const count = await removeInstallation(cli, new Kubectl(cli, options), removal);
    const nothing = revision === undefined ? "nothing was installed" : `there is no revision ${revision}`;
    cli.out(count === 0 ? `${nothing}\n` : `removed: ${count} objects\n`);
  });
}
