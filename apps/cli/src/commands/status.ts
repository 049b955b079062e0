import type { StatusReport } from "@lateen/local-runtime";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, formatOf, meshOption, outputOption } from "../command.ts";
import { Exit, exitCodes } from "../exit.ts";
import { MeshClient, shortPath } from "../mesh/client.ts";
import { type Paint, paint } from "../output/color.ts";
import { printResult } from "../output/format.ts";
import { age, table } from "../output/table.ts";

/** `lateen status`: what runs, and whether all of it is ready. */
export function statusCommand(cli: Cli): Command {
  return command("status", "show what is running; exit code 0 when all of it is ready, else 69", [
    "lateen status",
    "lateen status -o json",
  ])
    .addOption(meshOption())
    .addOption(outputOption())
    .action(async (options: { readonly mesh: string; readonly output?: string }) => {
      const status = await new MeshClient(cli, options.mesh).status();
      await printResult(cli, formatOf(options.output), status, () => statusText(status, cli, Date.now()));
      if (!status.ready) throw new Exit(exitCodes.unavailable);
    });
}

/** The report for people. */
export function statusText(status: StatusReport, cli: Cli, nowMs: number): string {
  const ink = paint(cli.outColor);
  const parts = [headline(status, ink)];
  if (status.workloads.length > 0) parts.push(workloadTable(status, ink, nowMs));
  if (status.gateways.length > 0) parts.push(gatewayTable(status, ink));
  if (status.rejected.length > 0) {
    parts.push(
      `${ink.bad("Rejected; the last good version is in force, if there was one:")}\n${status.rejected
        .map((it) => `  ${shortPath(cli, it.file)}:${it.line}: ${it.kind} ${it.namespace}/${it.name}: ${it.message}\n`)
        .join("")}`,
    );
  }
  if (status.warnings.length > 0)
    parts.push(status.warnings.map((text) => `${ink.warn("warning:")} ${text}\n`).join(""));
  return parts.join("\n");
}

function headline(status: StatusReport, ink: Paint): string {
  const state = status.ready ? ink.good("ready") : ink.warn("not ready");
  const control = status.controlPlane.ready ? "" : `, ${ink.bad("control plane down")}`;
  return `mesh ${ink.bold(status.mesh)}: ${state}${control}, configuration revision ${status.revision}\n`;
}

function workloadTable(status: StatusReport, ink: Paint, nowMs: number): string {
  const rows = status.workloads.map((one) => [
    one.namespace,
    one.workload,
    one.ready ? ink.good("yes") : ink.warn("no"),
    one.synced ? "yes" : ink.warn("no"),
    String(one.restarts),
    age(nowMs - Date.parse(one.createdAt)),
    one.address,
    one.ports.map((port) => `${port.container}->${port.private}`).join(","),
    one.reason,
  ]);
  return table(["NAMESPACE", "WORKLOAD", "READY", "SYNCED", "RESTARTS", "AGE", "ADDRESS", "PORTS", "REASON"], rows);
}

function gatewayTable(status: StatusReport, ink: Paint): string {
  const rows = status.gateways.map((one) => [
    one.namespace,
    one.name,
    one.ready ? ink.good("yes") : ink.warn("no"),
    one.synced ? "yes" : ink.warn("no"),
    one.ports.map((port) => `${port.port}->${port.host}:${port.listen}`).join(","),
    one.reason,
  ]);
  return table(["NAMESPACE", "GATEWAY", "READY", "SYNCED", "PORTS", "REASON"], rows);
}
