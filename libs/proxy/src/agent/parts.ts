import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import type { PlanState } from "../config/plan-state.ts";
import type { LoadedBootstrap } from "./bootstrap.ts";
import type { Configuration } from "./configuration.ts";
import type { LogFiles } from "./log-files.ts";
import type { AgentConfig, AgentDependencies } from "./options.ts";
import type { AddressOf } from "./probe-ways.ts";
import type { StatsReader } from "./stats-reader.ts";
import type { AgentStatus } from "./status.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** The parts of an agent, as its HTTP faces see them. */
export interface AgentParts {
  readonly config: AgentConfig;
  readonly deps: AgentDependencies;
  readonly state: PlanState;
  readonly configuration: Configuration;
  readonly pool: WorkerPool;
  readonly stats: StatsReader;
  readonly status: AgentStatus;
  readonly logFiles: LogFiles;
  readonly bootstrap: LoadedBootstrap | undefined;
  readonly node: Node;
  /** Where the application listens for a port of the workload. */
  readonly applicationAddress: AddressOf;
  /** Epoch milliseconds. */
  readonly startedAtMs: number;
}
