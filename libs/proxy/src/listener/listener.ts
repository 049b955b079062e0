import { type ChainMatcher, type ConnectionFacts, compileChainMatcher } from "@lateen/traffic";
import type { AccessLog } from "../access-log/sinks.ts";
import type { FilterChainSpec, ListenerSpec } from "../config/plan.ts";
import type { BrokenKind } from "../explain/connection-record.ts";
import { noteBroken, wantedBy } from "../explain/make-connection-record.ts";
import type { Connection } from "../io/connection.ts";
import { acceptTls } from "../tls/accept.ts";
import { checkTls, type TlsContexts } from "../tls/contexts.ts";
import type { PeerCertificate } from "../tls/peer-certificate.ts";
import { DRAIN_MS } from "../worker/protocol.ts";
import type { WorkerContext } from "../worker/state.ts";
import { Chain, type Terminals } from "./chain.ts";
import type { ConnectionInfo } from "./connection-info.ts";
import { type Inspection, Inspector, inspectionPlan, uninspected } from "./inspector.ts";
import { ListenerCounters } from "./listener-counters.ts";
import { ProxyHeaderReader } from "./proxy-header.ts";

/** What listeners need of their worker. */
export interface ListenerServices {
  readonly context: WorkerContext;
  readonly tls: TlsContexts;
  readonly terminals: Terminals;
  /** A connection went on under another object (TLS took its socket over). */
  replaced(from: Connection, to: Connection): void;
}

/** Where a connection wants to go and where it comes from. */
export interface Route4 {
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
}

/** How long the ClientHello of a chain without inspection is waited for. */
const HELLO_TIMEOUT_MS = 15_000;

/** Why no chain got to see a connection. */
interface Refusal {
  readonly kind: BrokenKind;
  readonly flags: string;
  readonly details: string;
  /** Name of the chain that it was for. */
  readonly chain: string;
}

const NO_CHAIN: Refusal = { kind: "noChain", flags: "NR", details: "filter_chain_not_found", chain: "" };

/** A listener in force: inspection, choice of the filter chain, TLS, hand-over to the chain. */
export class Listener {
  readonly spec: ListenerSpec;
  readonly chains: readonly Chain[];
  readonly #default: Chain | undefined;
  readonly #matcher: ChainMatcher;
  readonly #services: ListenerServices;
  readonly #counters: ListenerCounters;
  /** Of connections that no chain takes; the sinks are those of the first chain. */
  #log: AccessLog | undefined = undefined;

  /**
   * @param previous the version in force, whose unchanged chains are taken over.
   * @throws Error when a chain cannot be put in force (TLS settings, unknown filter, bad address range).
   */
  constructor(spec: ListenerSpec, services: ListenerServices, previous?: Listener) {
    this.spec = spec;
    this.#services = services;
    this.#counters = new ListenerCounters(services.context.stats, spec.name);
    const reusable = previous !== undefined && previous.spec.direction === spec.direction ? previous.#allChains() : [];
    const make = (chain: FilterChainSpec): Chain => {
      const at = reusable.findIndex((candidate) => candidate.same(chain));
      const [known] = at < 0 ? [] : reusable.splice(at, 1);
      return known ?? this.#newChain(chain);
    };
    this.#matcher = compileChainMatcher(spec.chains.map(({ match }) => match));
    this.chains = spec.chains.map(make);
    this.#default = spec.defaultChain === undefined ? undefined : make(spec.defaultChain);
  }

  #newChain(spec: FilterChainSpec): Chain {
    const { context, terminals } = this.#services;
    // A certificate that has not arrived fails handshakes, not the listener: other chains may do without.
    const problem = spec.transport.kind === "tls" ? checkTls(spec.transport) : undefined;
    if (problem !== undefined) throw new Error(`filter chain "${spec.name}": ${problem}`);
    const facts = { listener: this.spec.name, chain: spec.name, direction: this.spec.direction };
    return new Chain(spec, facts, context, terminals);
  }

  /** Whether the choice of a chain may depend on who asks. */
  get asksForSource(): boolean {
    return this.spec.chains.some(({ match }) => match.sourcePrefixes.length > 0);
  }

  #allChains(): Chain[] {
    return this.#default === undefined ? [...this.chains] : [...this.chains, this.#default];
  }

  get active(): number {
    return this.#allChains().reduce((sum, chain) => sum + chain.active, 0);
  }

  /** Takes a fresh connection. */
  accept(connection: Connection, route: Route4): void {
    this.#counters.opened();
    const { proxyProtocol, inspectors } = this.spec;
    if (proxyProtocol === undefined) this.#inspect(connection, route);
    else
      new ProxyHeaderReader(connection, proxyProtocol, inspectors.timeoutMs, (real) =>
        this.#inspect(connection, real ?? route),
      );
  }

  #inspect(connection: Connection, route: Route4): void {
    const plan = inspectionPlan(this.spec.inspectors, route.destinationPort);
    if (!plan.tls && !plan.http) {
      this.#choose(connection, route, uninspected(), false);
      return;
    }
    new Inspector(connection, plan, (inspection) => this.#choose(connection, route, inspection, plan.tls));
  }

  /** The chain for a connection with these facts, or undefined: refuse it. */
  chainFor(facts: ConnectionFacts): Chain | undefined {
    const index = this.#matcher.pick(facts);
    return index < 0 ? this.#default : this.chains[index];
  }

  #choose(connection: Connection, route: Route4, inspection: Inspection, knowsTls: boolean): void {
    const chain = this.chainFor({ ...route, ...inspection });
    if (chain === undefined) {
      this.#counters.noMatch();
      this.#refuse(connection, { ...this.#infoOf(route, inspection, undefined), secure: false }, NO_CHAIN);
      return;
    }
    if (chain.spec.transport.kind === "raw") {
      this.#serve(
        chain,
        connection,
        {
          ...route,
          connectionId: this.#services.context.nextConnectionId(),
          serverName: inspection.serverName,
          secure: false,
          peer: undefined,
          matched: factsOf(route, inspection),
        },
        inspection,
      );
      return;
    }
    if (knowsTls) {
      this.#secure(chain, connection, route, inspection);
      return;
    }
    const plan = { tls: true, http: false, timeoutMs: HELLO_TIMEOUT_MS, continueOnTimeout: false };
    const known = inspection.bytes;
    new Inspector(connection, plan, (hello) => this.#secure(chain, connection, route, hello));
    if (known !== undefined) connection.replay(known);
  }

  #secure(chain: Chain, raw: Connection, route: Route4, hello: Inspection): void {
    const { transport } = chain.spec;
    const tls = transport.kind === "tls" ? this.#services.tls.server(transport) : undefined;
    if (tls === undefined || !tls.ok || hello.transportProtocol !== "tls") {
      const why = tls !== undefined && !tls.ok ? tls.error : "the client does not speak TLS";
      this.#tlsFailed(raw, this.#infoOf(route, hello, undefined), why, chain.spec.name);
      return;
    }
    // Clients must not be talked into a protocol that the chain cannot serve.
    const spoken =
      chain.terminal.kind === "http" && chain.terminal.server.spec.codec === "http1"
        ? tls.value.alpn.filter((protocol) => protocol !== "h2" && protocol !== "istio-h2")
        : tls.value.alpn;
    const options = { tls: tls.value, offered: hello.applicationProtocols, spoken, bytes: hello.bytes };
    acceptTls(raw, options, {
      ready: (connection, peer) => {
        this.#services.replaced(raw, connection);
        this.#serve(
          chain,
          connection,
          {
            ...this.#infoOf(route, hello, peer),
            localUris: tls.value.localUris,
          },
          undefined,
        );
      },
      failed: (why) => this.#tlsFailed(raw, this.#infoOf(route, hello, undefined), why, chain.spec.name),
    });
  }

  #tlsFailed(raw: Connection, info: ConnectionInfo, why: string, chain: string): void {
    this.#counters.tlsFailed();
    const details = `tls_error{${why.trim().replaceAll(/\s+/g, "_")}}`;
    this.#refuse(raw, info, { kind: "handshake", flags: "", details, chain });
  }

  #infoOf(route: Route4, hello: Inspection, peer: PeerCertificate | undefined): ConnectionInfo {
    const connectionId = this.#services.context.nextConnectionId();
    const { serverName } = hello;
    return { ...route, connectionId, serverName, secure: true, peer, matched: factsOf(route, hello) };
  }

  /** Ends a connection that no chain got to see. */
  #refuse(connection: Connection, info: ConnectionInfo, reason: Refusal): void {
    const { context } = this.#services;
    const { self } = context.bootstrap;
    const inbound = this.spec.direction === "inbound";
    connection.reset();
    this.#note(info, reason);
    this.#log ??= context.logs.tcp((this.chains[0] ?? this.#default)?.spec.terminal.accessLogs ?? []);
    if (this.#log.empty) return;
    this.#log.write({
      info,
      direction: this.spec.direction,
      startTimeMs: context.clock.now(),
      durationMs: 0,
      bytesReceived: 0,
      bytesSent: 0,
      flags: reason.flags,
      terminationDetails: reason.details,
      upstreamCluster: "",
      upstreamHost: "",
      upstreamLocalAddress: "",
      upstreamFailure: "",
      source: inbound ? undefined : self,
      destination: inbound ? self : undefined,
      peerPrincipal: "",
      destinationService: "",
    });
  }

  #note(info: ConnectionInfo, { kind, flags, details, chain }: Refusal): void {
    const { broken, clock } = this.#services.context;
    const { spec } = this;
    const { name: listener, direction, peerAuthentication: rules } = spec;
    const because = rules?.ports[info.destinationPort] ?? rules?.others ?? spec.origin;
    noteBroken(
      broken,
      { kind, flags, details, because, info, place: { listener, chain, direction }, startTimeMs: clock.now() },
      () => (kind === "noChain" ? { wanted: wantedBy(spec, info.destinationPort) } : {}),
    );
  }

  #serve(chain: Chain, connection: Connection, info: ConnectionInfo, inspection: Inspection | undefined): void {
    chain.serve(connection, info);
    if (inspection?.bytes !== undefined || connection.ended) connection.replay(inspection?.bytes);
  }

  /**
   * Connections of chains that `next` does not carry on go to the chain that it would choose for them, where that is HTTP behind the same
   * transport. Others are asked to go; what has not gone in time is broken.
   */
  retire(next: Listener | undefined): void {
    const kept = new Set(next === undefined ? [] : next.#allChains());
    const leaving = this.#allChains().filter((chain) => !kept.has(chain));
    const { bootstrap, io } = this.#services.context;
    const drainMs = bootstrap.drainMs ?? DRAIN_MS;
    for (const chain of leaving) {
      if (next !== undefined && this.#samePlace(next)) chain.handOver((info) => next.#successor(chain, info));
      // Who cannot go on in what replaced it is not let in there either: nothing is won by waiting, and policy may lie in between.
      chain.drain(next === undefined ? drainMs : 0);
    }
    if (leaving.every((chain) => chain.active === 0)) return;
    const deadline = io.wheel.timer(() => {
      for (const chain of leaving) chain.destroy();
    });
    deadline.arm(drainMs);
  }

  #samePlace({ spec }: Listener): boolean {
    const { address, port, direction } = this.spec;
    return spec.address === address && spec.port === port && spec.direction === direction;
  }

  /** The chain for a connection that another version of this listener accepted. */
  #successor(before: Chain, { matched, ...info }: ConnectionInfo): Chain | undefined {
    const chain = matched === undefined ? undefined : this.chainFor(matched);
    if (chain === undefined || !chain.sameTransport(before) || chain.judge(info) !== undefined) return undefined;
    return chain;
  }

  drain(): void {
    for (const chain of this.#allChains()) chain.drain();
  }
}

function factsOf(route: Route4, { serverName, transportProtocol, applicationProtocols }: Inspection): ConnectionFacts {
  const { sourceAddress, destinationAddress, destinationPort } = route;
  return { sourceAddress, destinationAddress, destinationPort, serverName, transportProtocol, applicationProtocols };
}
