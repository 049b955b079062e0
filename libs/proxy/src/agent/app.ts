import { availableParallelism } from "node:os";
import { ok, systemClock } from "@lateen/kernel";
import { createAdjustableLogger, EXIT_USAGE, readProcessConfig, runMain } from "@lateen/runtime";
import { heapCollector } from "../worker/spare-heap.ts";
import { type ProxyFlags, proxyAgentConfig } from "./flags.ts";
import type { AgentDependencies, LogLevel } from "./options.ts";
import { podArguments } from "./pod/pod-arguments.ts";
import { readPodInfo } from "./pod/pod-info.ts";
import { runAgent } from "./run-agent.ts";

/** What an app joins to the engine: its filters, its way to the control plane, its worker's module. */
export type ProxyAppParts = Pick<AgentDependencies, "workerEntry" | "httpFilters" | "networkFilters" | "loadClients">;

/** The whole life of a proxy process: options, agent, drain on SIGTERM. Access logs go to stdout, its own log to stderr. */
export async function runProxyApp(flags: ProxyFlags, parts: ProxyAppParts): Promise<void> {
  const argv = process.argv.slice(2);
  const options = argv[0] === "proxy" ? podArguments(argv.slice(1), process.env, availableParallelism()) : ok(argv);
  if (!options.ok) refuse(flags, options.error);
  const given = readProcessConfig(flags, options.value);
  const { podInfo } = given.values;
  const config = proxyAgentConfig(given, process.env, podInfo === undefined ? undefined : await readPodInfo(podInfo));
  if (!config.ok) refuse(flags, config.error);
  const { logger, setLevel } = createAdjustableLogger({ name: flags.program, level: config.value.logLevel });
  await runMain(
    flags.program,
    async ({ scope }) => {
      const agent = await runAgent(
        config.value,
        {
          ...parts,
          clock: systemClock(),
          random: { next: () => Math.random() },
          logger,
          collectHeap: heapCollector(),
          setLogLevel: (level: LogLevel) => setLevel(level),
          quit: () => void process.kill(process.pid, "SIGTERM"),
        },
        scope,
      );
      logger.info({ event: "proxy.started", ports: agent.ports, concurrency: config.value.concurrency });
    },
    { logger, drainTimeoutMs: config.value.drainTimeMs + 10_000 },
  );
}

function refuse({ program }: ProxyFlags, problems: readonly string[]): never {
  process.stderr.write(problems.map((problem) => `${program}: ${problem}\n`).join(""));
  process.exit(EXIT_USAGE);
}
