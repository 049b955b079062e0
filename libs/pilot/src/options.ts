import type { Clock, Logger, Scope } from "@lateen/kernel";
import type { MeshConfig } from "@lateen/mesh-model";
import type { Bus, ConfigWriter, DocumentSource, KeySetStore, ServiceRegistry } from "@lateen/ports";
import type { StreamLimits } from "@lateen/xds";
import { badPilotOption } from "./errors.ts";

/** When changes are compiled and sent. */
export interface DebounceOptions {
  /** Milliseconds without a further change after which a change is compiled. Default 15. */
  readonly quietMs: number;
  /** Milliseconds after which a change is compiled however many follow. Default 300. */
  readonly maxMs: number;
  /** Least milliseconds between two pushes: changes that follow one another at some distance are merged as well. Default 120. */
  readonly intervalMs: number;
  /**
   * Milliseconds that a change waits at most for the former push to be acknowledged: while all proxies are at the same state, what is made
   * for one serves many. Proxies that take longer are not waited for again until they have caught up. Default 400.
   */
  readonly busyMs: number;
}

/** Bounds on connected proxies. */
export interface ConnectedLimits {
  /** Open ADS streams; further ones are refused with RESOURCE_EXHAUSTED. Default 10000. */
  readonly streams: number;
  /** The same of one identity, so that no workload takes the place of all others. Default 2000. */
  readonly streamsPerIdentity: number;
  /**
   * Kinds of clients at a time that streams of one identity may be: by namespace, labels that configuration mentions, locality and
   * abilities. For each kind much is compiled. Default 64.
   */
  readonly kindsPerIdentity: number;
  /** Bounds within one stream. */
  readonly perStream: Partial<StreamLimits>;
}

/** How long entries of workloads that registered themselves stay. */
export interface RegistrationTimes {
  /** Milliseconds after the end of the workload's last stream. Default 10000, as Istio has it. */
  readonly graceMs: number;
  /** Milliseconds that workloads have to come back after a restart of the control plane. Default 60000. */
  readonly reconnectMs: number;
}

export interface PilotOptions {
  /** Carries galley's accepted configuration on topic `config`. */
  readonly bus: Bus;
  readonly registry: ServiceRegistry;
  /** Everything pilot starts ends with it. */
  readonly scope: Scope;
  readonly clock: Clock;
  readonly logger: Logger;
  /** In force until the ConfigMap `istio` of the root namespace is there, and below it afterwards. */
  readonly meshConfig: MeshConfig;
  readonly clusterId: string;
  /** Default `cluster.local`. */
  readonly domain?: string;
  /** Keeps the entries of workloads that register themselves in a WorkloadGroup; without it they are refused. */
  readonly writer?: ConfigWriter;
  readonly registration?: Partial<RegistrationTimes>;
  /** Where keys of token issuers are fetched with. Without it none are, and tokens of issuers without inline keys are refused. */
  readonly documents?: DocumentSource;
  /** Milliseconds after which keys that were fetched are looked at again. Default 20 minutes, as Istio has it. */
  readonly keyRefreshMs?: number;
  /** Where keys that were fetched are kept over restarts. Without it tokens of an issuer that cannot be reached after a restart are refused. */
  readonly keySetStore?: KeySetStore;
  readonly debounce?: Partial<DebounceOptions>;
  readonly connectedLimits?: Partial<ConnectedLimits>;
  /**
   * Milliseconds that {@link createPilot} waits for the first snapshots before it returns a pilot that is not ready yet and
   * refuses streams with UNAVAILABLE. Default 5000.
   */
  readonly firstSnapshotsMs?: number;
}

/** Defaults filled in. @throws LTN3501 for numbers that make no sense. */
export function withDefaults(options: PilotOptions): {
  readonly debounce: DebounceOptions;
  readonly limits: ConnectedLimits;
  readonly firstSnapshotsMs: number;
  readonly registration: RegistrationTimes;
  readonly keyRefreshMs: number;
} {
  const debounce = { quietMs: 15, maxMs: 300, intervalMs: 120, busyMs: 400, ...options.debounce };
  const limits = {
    streams: 10_000,
    streamsPerIdentity: 2000,
    kindsPerIdentity: 64,
    perStream: {},
    ...options.connectedLimits,
  };
  const registration = { graceMs: 10_000, reconnectMs: 60_000, ...options.registration };
  const firstSnapshotsMs = options.firstSnapshotsMs ?? 5000;
  const keyRefreshMs = options.keyRefreshMs ?? 20 * 60_000;
  const atLeast = (name: string, value: number, least: number) => {
    if (!(value >= least)) throw badPilotOption(name, value, `a number of at least ${least}`);
  };
  atLeast("debounce.quietMs", debounce.quietMs, 0);
  atLeast("debounce.maxMs", debounce.maxMs, debounce.quietMs);
  atLeast("debounce.intervalMs", debounce.intervalMs, 0);
  atLeast("debounce.busyMs", debounce.busyMs, 0);
  atLeast("connectedLimits.streams", limits.streams, 1);
  atLeast("connectedLimits.streamsPerIdentity", limits.streamsPerIdentity, 1);
  atLeast("connectedLimits.kindsPerIdentity", limits.kindsPerIdentity, 1);
  atLeast("firstSnapshotsMs", firstSnapshotsMs, 0);
  atLeast("registration.graceMs", registration.graceMs, 0);
  atLeast("registration.reconnectMs", registration.reconnectMs, 1);
  atLeast("keyRefreshMs", keyRefreshMs, 1000);
  return { debounce, limits, firstSnapshotsMs, registration, keyRefreshMs };
}
