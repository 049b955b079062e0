import { isDeepStrictEqual } from "node:util";
import type { NetworkFilter, NetworkVerdict } from "../chain/spi.ts";
import type { FilterChainSpec, HttpConnectionManagerSpec, TcpProxySpec } from "../config/plan.ts";
import { noteBroken } from "../explain/make-connection-record.ts";
import type { Connection } from "../io/connection.ts";
import type { ChainFacts, HttpTerminal, Terminal, WorkerContext } from "../worker/state.ts";
import type { ConnectionInfo } from "./connection-info.ts";

/** A terminal for byte streams, which can also say that a network filter refused. */
export interface TcpTerminal extends Terminal {
  refuse(connection: Connection, info: ConnectionInfo, verdict: NetworkVerdict): void;
}

/** How terminals are made; given by the worker, so that listeners know no protocol. */
export interface Terminals {
  http(spec: HttpConnectionManagerSpec, facts: ChainFacts): HttpTerminal;
  tcp(spec: TcpProxySpec, facts: ChainFacts): TcpTerminal;
}

/** A filter chain in force. It outlives updates of its listener that leave it as it is, and its connections with it. */
export class Chain {
  readonly spec: FilterChainSpec;
  readonly facts: ChainFacts;
  readonly terminal:
    | { readonly kind: "http"; readonly server: HttpTerminal }
    | { readonly kind: "tcp"; readonly server: TcpTerminal };
  readonly #context: WorkerContext;
  readonly #filters: readonly NetworkFilter[];
  /** The HTTP face the explicit proxy gives a chain of bytes; made when first asked for. */
  #httpFace: HttpTerminal | undefined = undefined;

  /** @throws Error naming a filter this worker does not have, or that cannot be made. */
  constructor(spec: FilterChainSpec, facts: ChainFacts, context: WorkerContext, terminals: Terminals) {
    this.spec = spec;
    this.facts = facts;
    this.#context = context;
    this.#filters = spec.networkFilters.map(({ name, config }) => {
      const runtime = context.networkFilters.get(name);
      if (runtime === undefined) throw new Error(`network filter ${name} is not part of this proxy`);
      return runtime.create(config, context.stats);
    });
    this.terminal =
      spec.terminal.kind === "http"
        ? { kind: "http", server: terminals.http(spec.terminal, facts) }
        : { kind: "tcp", server: terminals.tcp(spec.terminal, facts) };
  }

  /** Whether network filters have a say. */
  get judges(): boolean {
    return this.#filters.length > 0;
  }

  /** Why a network filter does not want the connection; undefined: none minds. */
  judge(info: ConnectionInfo): NetworkVerdict | undefined {
    if (this.#filters.length === 0) return undefined;
    const peer = {
      principal: info.peer?.principal,
      sourceAddress: info.sourceAddress,
      remoteAddress: info.sourceAddress,
      destinationAddress: info.destinationAddress,
      destinationPort: info.destinationPort,
      serverName: info.serverName,
    };
    for (const filter of this.#filters) {
      const verdict = filter.onConnection(peer);
      if (!verdict.allowed) return verdict;
    }
    return undefined;
  }

  /** Serves a connection whose TLS, if any, is done. */
  serve(connection: Connection, info: ConnectionInfo): void {
    const refusal = this.judge(info);
    if (refusal === undefined) this.terminal.server.serve(connection, info);
    else if (this.terminal.kind === "tcp") this.terminal.server.refuse(connection, info, refusal);
    else this.#break(connection, info, refusal);
  }

  /** There is no request yet that could be logged. */
  #break(connection: Connection, info: ConnectionInfo, { details, because, candidates }: NetworkVerdict): void {
    const { broken, clock } = this.#context;
    connection.reset();
    const reason = { kind: "policy", flags: "", details, because, candidates, startTimeMs: clock.now() } as const;
    noteBroken(broken, { ...reason, info, place: this.facts }, () => ({}));
  }

  /** HTTP for single requests: the manager itself, or for a chain of bytes what `make` builds to the same clusters. */
  httpFace(make: (spec: TcpProxySpec, facts: ChainFacts) => HttpTerminal): HttpTerminal {
    if (this.terminal.kind === "http") return this.terminal.server;
    if (this.#httpFace === undefined) {
      const { terminal } = this.spec;
      if (terminal.kind !== "tcp") throw new Error("a chain of bytes has a TCP proxy");
      this.#httpFace = make(terminal, this.facts);
    }
    return this.#httpFace;
  }

  same(spec: FilterChainSpec): boolean {
    return isDeepStrictEqual(this.spec, spec);
  }

  /** Connections of that chain look here as they did there. */
  sameTransport(other: Chain): boolean {
    return isDeepStrictEqual(this.spec.transport, other.spec.transport);
  }

  /** Gives HTTP connections to the chains that `to` answers for them. */
  handOver(to: (info: ConnectionInfo) => Chain | undefined): void {
    if (this.terminal.kind !== "http") return;
    this.terminal.server.handOver((info) => {
      const { terminal } = to(info) ?? {};
      return terminal?.kind === "http" ? terminal.server : undefined;
    });
  }

  get active(): number {
    return this.terminal.server.active + (this.#httpFace?.active ?? 0);
  }

  /** Its connections end: at once where nothing is under way, or spread over `overMs`. */
  drain(overMs = 0): void {
    this.terminal.server.drain(overMs);
    this.#httpFace?.drain(overMs);
  }

  destroy(): void {
    this.terminal.server.destroy();
    this.#httpFace?.destroy();
  }
}
