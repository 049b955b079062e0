import { splitWeights } from "@lateen/traffic";
import type { AccessLog } from "../access-log/sinks.ts";
import type { NetworkVerdict } from "../chain/spi.ts";
import type { TcpProxySpec } from "../config/plan.ts";
import type { Connection } from "../io/connection.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import type { ChainFacts, Terminal, WorkerContext } from "../worker/state.ts";
import { TcpMetrics } from "./tcp-metrics.ts";
import { TcpSession } from "./tcp-session.ts";

/** The part of a TCP chain its sessions share. */
export interface TcpChain {
  readonly spec: TcpProxySpec;
  readonly facts: ChainFacts;
  readonly context: WorkerContext;
  readonly log: AccessLog;
  readonly metrics: TcpMetrics;
  ended(session: TcpSession): void;
}

/** Terminal filter that carries bytes to a cluster. @see envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy */
export class TcpProxy implements Terminal, TcpChain {
  readonly spec: TcpProxySpec;
  readonly facts: ChainFacts;
  readonly context: WorkerContext;
  readonly log: AccessLog;
  readonly metrics: TcpMetrics;
  readonly #weights: readonly number[];
  readonly #sessions = new Set<TcpSession>();

  constructor(spec: TcpProxySpec, facts: ChainFacts, context: WorkerContext) {
    this.spec = spec;
    this.facts = facts;
    this.context = context;
    this.log = context.logs.tcp(spec.accessLogs);
    this.metrics = new TcpMetrics(context.stats, context.bootstrap.self, spec.metrics);
    this.#weights = spec.clusters.map(({ weight }) => weight);
  }

  get active(): number {
    return this.#sessions.size;
  }

  serve(connection: Connection, info: ConnectionInfo): void {
    const session = new TcpSession(this, connection, info);
    this.#sessions.add(session);
    session.start(this.#pickCluster());
  }

  /** Ends a connection that a network filter refused, and says so in the access log. */
  refuse(connection: Connection, info: ConnectionInfo, verdict: NetworkVerdict): void {
    const session = new TcpSession(this, connection, info);
    this.#sessions.add(session);
    session.refuse(verdict);
  }

  /** Byte streams have no point at which they could be asked to go: they stay until they end or are broken. */
  drain(): void {}

  destroy(): void {
    for (const session of [...this.#sessions]) session.destroy();
  }

  ended(session: TcpSession): void {
    this.#sessions.delete(session);
  }

  #pickCluster(): string {
    const { clusters } = this.spec;
    return clusters[splitWeights(this.#weights, this.context.random)]?.cluster ?? "";
  }
}
