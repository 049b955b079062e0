import { Argument, type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { command, meshOption, parsePort } from "../command.ts";
import { MeshClient } from "../mesh/client.ts";
import type { OutputFormat } from "../output/format.ts";

/** What of a proxy can be shown. */
export const proxyConfigKinds = ["listener", "route", "cluster", "endpoint", "secret", "bootstrap", "all"] as const;
export type ProxyConfigKind = (typeof proxyConfigKinds)[number];

/** Options of `lateen proxy-config` as given. */
export interface ProxyConfigOptions {
  readonly output: "short" | "json" | "yaml";
  readonly fqdn?: string;
  readonly port?: number;
  readonly subset?: string;
  readonly direction?: string;
  readonly name?: string;
  readonly address?: string;
  readonly cluster?: string;
  /** A bootstrap for an Envoy that is not ours. */
  readonly stock?: true;
  /** A bootstrap for gRPC without a proxy. */
  readonly grpc?: true;
  readonly mesh: string;
}

/** `lateen proxy-config`: what a proxy really has. */
export function proxyConfigCommand(cli: Cli): Command {
  return command("proxy-config", "show the configuration that one proxy has", [
    "lateen proxy-config cluster productpage-v1",
    "lateen proxy-config route istio-ingressgateway.istio-system",
    "lateen proxy-config listener reviews-v1 --port 15006 -o json",
    "lateen proxy-config bootstrap istio-ingressgateway --stock > envoy.json && envoy -c envoy.json",
    "lateen proxy-config bootstrap productpage-v1 --grpc > grpc.json && GRPC_XDS_BOOTSTRAP=grpc.json python3 client.py",
  ])
    .alias("pc")
    .addArgument(
      new Argument("<what>", proxyConfigKinds.join(", ")).choices([...proxyConfigKinds, ...Object.keys(ALIASES)]),
    )
    .argument("<workload>", "pod or workload, also with .NAMESPACE")
    .addOption(
      new Option("-o, --output <format>", "form of the output").choices(["short", "json", "yaml"]).default("short"),
    )
    .option("--fqdn <host>", "clusters of this host")
    .option("--port <port>", "clusters, listeners or endpoints of this port", parsePort)
    .option("--subset <name>", "clusters of this subset")
    .option("--direction <direction>", "inbound or outbound clusters")
    .option("--name <name>", "routes or listeners of this name")
    .option("--address <ip>", "listeners or endpoints of this address")
    .option("--cluster <name>", "endpoints of this cluster")
    .addOption(
      new Option(
        "--stock",
        "bootstrap: for an unmodified Envoy, with the workload's identity; its agent is started",
      ).conflicts("grpc"),
    )
    .option("--grpc", "bootstrap: for gRPC without a proxy (GRPC_XDS_BOOTSTRAP); the agent is started")
    .addOption(meshOption())
    .action(async (what: string, workload: string, options: ProxyConfigOptions) => {
      const client = new MeshClient(cli, options.mesh);
      const format: OutputFormat = options.output === "short" ? "text" : options.output;
      if (options.stock || options.grpc) {
        const { showBootstrap } = await import("../proxy/bootstrap.ts");
        return showBootstrap(cli, client, {
          what: kindOf(what),
          workload,
          mesh: options.mesh,
          flavour: options.grpc ? "grpc" : "envoy",
          format: format === "text" ? "json" : format,
        });
      }
      const { showProxyConfig } = await import("../proxy/config.ts");
      await showProxyConfig(cli, client, { what: kindOf(what), workload, options, format });
    });
}

/** istioctl's short forms. */
const ALIASES: Readonly<Record<string, ProxyConfigKind>> = {
  listeners: "listener",
  l: "listener",
  routes: "route",
  r: "route",
  clusters: "cluster",
  c: "cluster",
  endpoints: "endpoint",
  ep: "endpoint",
  secrets: "secret",
  s: "secret",
  b: "bootstrap",
};

function kindOf(word: string): ProxyConfigKind {
  return ALIASES[word] ?? proxyConfigKinds.find((kind) => kind === word) ?? "all";
}
