import type { AgentView } from "@lateen/local-runtime";
import type { Cli } from "../cli.ts";
import type { ProxyConfigKind } from "../commands/proxy-config.ts";
import { bootstrapNotPatched, usageError } from "../errors.ts";
import type { MeshClient } from "../mesh/client.ts";
import { openWorld } from "../offline/mesh-objects.ts";
import { type OutputFormat, printResult } from "../output/format.ts";

export interface BootstrapRequest {
  readonly what: ProxyConfigKind;
  readonly workload: string;
  readonly mesh: string;
  /** For whom it is: a stock Envoy, or gRPC without a proxy. */
  readonly flavour: "envoy" | "grpc";
  readonly format: Exclude<OutputFormat, "text">;
}

/** How long the mesh waits for the agent's certificate, and a little more. */
const TIMEOUT_MS = 40_000;

/** Starts a workload's agent where it does not run, and prints the bootstrap of a client of it. */
export async function showBootstrap(
  cli: Cli,
  client: MeshClient,
  { what, workload, mesh, flavour, format }: BootstrapRequest,
): Promise<void> {
  if (what !== "bootstrap") {
    throw usageError(`--${flavour === "grpc" ? "grpc" : "stock"} is for \`lateen proxy-config bootstrap\``);
  }
  const path = `/pods/${encodeURIComponent(workload)}/agent`;
  const agent = await client.post<AgentView>(path, {}, TIMEOUT_MS);
  cli.err(`the agent of ${workload} serves it at ${agent.socket}, as long as the pod lives\n`);
  const document = flavour === "envoy" ? await patched(cli, mesh, agent.envoy) : agent.grpc;
  return printResult(cli, format, document, () => "");
}

/** As EnvoyFilters of the running mesh patch it; the compiler is that of the control plane. */
async function patched(cli: Cli, mesh: string, document: unknown): Promise<unknown> {
  const { simulated } = await openWorld(cli, { mesh });
  const result = simulated.bootstrap(document);
  if (!result.ok) throw bootstrapNotPatched(result.error);
  return result.value;
}
