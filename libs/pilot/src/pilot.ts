import { createCompiler } from "@lateen/compiler";
import type { AdsServer } from "@lateen/ports";
import type { DebugView } from "./debug/debug-view.ts";
import type { PilotOptions } from "./options.ts";
import { PilotServer } from "./pilot-server.ts";
import type { SyncOutcome } from "./push/sync-waits.ts";
import type { PilotStatus } from "./status.ts";

/** Turns configuration and what runs into xDS, and knows who runs which of it. */
export interface Pilot {
  /** To be served by adapter-grpc. Refuses with UNAVAILABLE until {@link Pilot.ready}. */
  readonly ads: AdsServer;
  /** Both first snapshots, of configuration and of what runs, are in. */
  readonly ready: boolean;
  /** Number of the last push; another whenever anything that proxies or users are told may be different. */
  readonly pushes: number;
  /** What is missing for that. */
  readonly missing: readonly string[];
  status(): PilotStatus;
  /**
   * Resolves once every connected proxy runs a configuration revision (galley's number), or after `timeoutMs` (at most 10 minutes)
   * with those that do not. A proxy that refused something in force is a laggard.
   */
  waitSynced(revision: number, timeoutMs: number): Promise<SyncOutcome>;
  /** Works out anew what every connected proxy should run and sends what it does not have. @returns how many proxies that are. */
  pushAll(): number;
  /** Prometheus text, format 0.0.4. */
  metrics(): string;
  /** What the debug routes show. */
  readonly debug: DebugView;
}

/**
 * Starts pilot: it follows the bus topic `config` and the registry until the scope closes. Returns when both first snapshots are in, or
 * after `firstSnapshotsMs` with a pilot that is not ready yet; either way it goes on by itself.
 *
 * Fail modes: a bus or registry that falls silent, and a compiler that throws, change nothing for proxies that are connected or connect;
 * a registry that cannot be watched is tried again.
 * @throws LTN3501 for options that make no sense.
 */
export async function createPilot(options: PilotOptions): Promise<Pilot> {
  const { meshConfig, clusterId, domain } = options;
  const compiler = createCompiler({ meshConfig, clusterId, ...(domain === undefined ? {} : { domain }) });
  const pilot = new PilotServer(options, compiler);
  await pilot.start();
  return pilot;
}
