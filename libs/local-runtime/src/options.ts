import type { Clock, Logger, Random, Scope } from "@lateen/kernel";
import type { AcceptedObject, ChannelOptions, StateDelta } from "@lateen/ports";
import type { ComponentKind } from "./control/component-plan.ts";
import type { NatsChoice } from "./control/nats-process.ts";
import type { SupervisorEvent } from "./events.ts";

/** Follows galley's accepted configuration; the app passes adapter-grpc's implementation. */
export type WatchConfig = (
  scope: Scope,
  channel: ChannelOptions,
  receive: (delta: StateDelta<AcceptedObject>) => void,
  onState: (state: { readonly connected: true } | { readonly connected: false; readonly reason: string }) => void,
) => void;

export interface SupervisorOptions {
  /** Name of the mesh. */
  readonly mesh: string;
  /** Version of the program, for the status. */
  readonly version: string;
  readonly stateRoot: string;
  /** Files and directories of configuration, absolute. */
  readonly configPaths: readonly string[];
  /** Port of the ingress gateway on the loopback addresses; 0 picks a free one; undefined: 8080, or a free one when it is busy. */
  readonly ingressPort: number | undefined;
  /** How traffic gets into the sidecars. `auto`: by network namespaces where they can be had, else as by default, `proxy-env`. */
  readonly capture?: "proxy-env" | "netns" | "auto";
  /** Program and first arguments of the control plane, of the sidecar, and of the agent beside proxies that are not ours. */
  readonly controlPlane: readonly string[];
  readonly sidecar: readonly string[];
  readonly agent: readonly string[];
  /** Set: the control plane's components run apart, and these are their programs and first arguments; `controlPlane` is not used then. */
  readonly components?: Readonly<Record<ComponentKind, readonly string[]>>;
  /** Of each such component; default 2. */
  readonly replicas?: number;
  /** NATS between such components; without it they use gRPC alone. */
  readonly nats?: NatsChoice;
  readonly watchConfig: WatchConfig;
  /** Environment of this process; only a few variables are handed on. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly observe: (event: SupervisorEvent) => void;
  /** How many pods start at once; default 4. */
  readonly parallelStarts?: number;
  /**
   * Between taking a pod out of the endpoints and ending its application: at least this long, so that requests that were on their way
   * arrive, and until every proxy has acked that the pod is gone. Default 500 ms.
   */
  readonly deregisterMs?: number;
  /** How long such an ack is waited for: a proxy that refuses something may never give it. Default 5000 ms. */
  readonly deregisterLimitMs?: number;
  /** Time for processes to end when the whole mesh is stopped; default 3000 ms. */
  readonly stopGraceMs?: number;
}
