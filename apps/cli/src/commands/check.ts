import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, formatOf, outputOption } from "../command.ts";
import { Exit, exitCodes } from "../exit.ts";
import { clusterOptions } from "../kubernetes/options.ts";
import { paint } from "../output/color.ts";
import { printResult } from "../output/format.ts";

interface CheckOptions {
  readonly output?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** `lateen check`: whether a cluster can take the mesh, and how the one in it is. */
export function checkCommand(cli: Cli): Command {
  const check = command(
    "check",
    "whether a Kubernetes cluster can take the mesh, and how the one in it is; 69 if not well",
    ["lateen check", "lateen check --context staging -o json"],
  ).addOption(outputOption());
  for (const option of clusterOptions()) check.addOption(option);
  return check.action(async (options: CheckOptions) => {
    const [{ checkCluster }, { Kubectl }] = await Promise.all([
      import("../kubernetes/check-cluster.ts"),
      import("../kubernetes/kubectl.ts"),
    ]);
    const results = await checkCluster(new Kubectl(cli, options));
    const { good, bad } = paint(cli.outColor);
    await printResult(cli, formatOf(options.output), { ok: results.every(({ ok }) => ok), checks: results }, () =>
      results
        .map(({ ok, check: what, message }) => `${ok ? good("ok  ") : bad("fail")} ${what}: ${message}\n`)
        .join(""),
    );
    if (results.some(({ ok }) => !ok)) throw new Exit(exitCodes.unavailable);
  });
}
