import { type Command, InvalidArgumentError, Option } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, meshOption, parsePort } from "../command.ts";

/** Options of `lateen up` as given. */
export interface UpOptions {
  readonly filename?: readonly string[];
  readonly runtime?: readonly string[];
  readonly capture: "proxy-env" | "netns" | "auto";
  readonly controlPlane: "embedded" | "separate";
  readonly replicas: number;
  readonly nats: string;
  readonly ingressPort?: number;
  readonly detach?: boolean;
  readonly logs: boolean;
  readonly mesh: string;
  readonly timeout: string;
}

/** `lateen up`: a mesh on this machine. */
export function upCommand(cli: Cli): Command {
  return command("up", "run a mesh on this machine from YAML, until Ctrl-C; edits of the files apply at once", [
    "lateen up -f samples/bookinfo",
    "lateen up -f mesh.yaml -f rules/ --runtime lateen.yaml --ingress-port 9000",
    "lateen up -f samples/bookinfo --detach && lateen status",
    "sudo lateen up -f samples/bookinfo --capture netns",
    "lateen up -f samples/bookinfo --control-plane separate --replicas 2",
    "lateen up -f samples/bookinfo --control-plane separate --nats local",
  ])
    .addOption(fileOption("YAML or JSON file, or directory of such files; watched"))
    .option("--runtime <file...>", "file with LocalRuntime documents: which command stands for which image")
    .addOption(
      new Option("--capture <mode>", "how traffic gets into the sidecars")
        .choices(["proxy-env", "netns", "auto"])
        .default("proxy-env")
        .env("LATEEN_CAPTURE"),
    )
    .addOption(
      new Option("--control-plane <mode>", "in one process, or each component in processes of its own as in a cluster")
        .choices(["embedded", "separate"])
        .default("embedded"),
    )
    .option("--replicas <n>", "with a separate control plane: processes of each component", parseReplicas, 2)
    .addOption(
      new Option(
        "--nats <server>",
        "with a separate control plane: NATS between the components; `local` starts nats-server, `auto` where there is one, `off` uses gRPC alone, else the address of a server",
      )
        .default("auto")
        .argParser(parseNats)
        .env("LATEEN_NATS"),
    )
    .option(
      "--ingress-port <port>",
      "port of the ingress gateway; 0 takes a free one (default: 8080, or a free one)",
      parsePort,
    )
    .option("-d, --detach", "return when the mesh is ready; it goes on in the background")
    .option("--no-logs", "do not print what the workloads print; `lateen logs` shows it")
    .option("--timeout <duration>", "with --detach: how long to wait for readiness", "60s")
    .addOption(meshOption())
    .action(async (options: UpOptions) => {
      const { runUp } = await import("../up/run-up.ts");
      await runUp(cli, options);
    });
}

function parseNats(text: string): string {
  if (!/^(auto|local|off|(nats|tls):\/\/[^@/]+)$/.test(text))
    throw new InvalidArgumentError("auto, local, off, nats://HOST:PORT or tls://HOST:PORT is wanted");
  return text;
}

const MOST_REPLICAS = 5;

function parseReplicas(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > MOST_REPLICAS)
    throw new InvalidArgumentError(`a number from 1 to ${MOST_REPLICAS} is wanted`);
  return count;
}
