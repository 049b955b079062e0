import type { TcpProxySpec } from "../config/plan.ts";
import type { HeadPool, Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import { ServerConnection, type ServerOwner } from "../http1/server-connection.ts";
import type { Connection } from "../io/connection.ts";
import type { ChainFacts, HttpTerminal, WorkerContext } from "../worker/state.ts";
import type { Chain } from "./chain.ts";
import { type ConnectionInfo, unmapped } from "./connection-info.ts";
import { type Destination, type Destinations, splitAuthority } from "./destinations.ts";
import { HeldRequest } from "./held-request.ts";
import type { Listener } from "./listener.ts";
import type { ListenerTable } from "./listener-table.ts";

/** Stands for the address of a name that nobody can resolve, where a listener on any address may still know the name. */
const NO_ADDRESS = "0.0.0.0";
const IDLE_TIMEOUT_MS = 3_600_000;
const BLACK_HOLE = "BlackHoleCluster";

export interface ExplicitProxyOptions {
  readonly context: WorkerContext;
  readonly table: ListenerTable;
  readonly destinations: Destinations;
  /** HTTP towards the clusters of a chain that only knows bytes. */
  readonly httpOverTcp: (spec: TcpProxySpec, facts: ChainFacts) => HttpTerminal;
}

/** What was decided for an authority; holds for as long as the configuration stays as it is. */
interface Decision {
  readonly terminal: HttpTerminal;
  readonly destination: Destination;
}
const MAX_DECISIONS = 1024;

interface Target {
  readonly host: string;
  readonly port: number;
}

/**
 * The HTTP proxy that `http_proxy` names. Each request (absolute form) and each CONNECT is treated as a connection to the address
 * that its authority has in the mesh: the listener of that address, else of that port, else the catch-all takes it. One client
 * connection may carry requests to any number of destinations.
 * @see RFC 9112 §3.2.2, RFC 9110 §9.3.6
 */
export class ExplicitProxy implements ServerOwner {
  readonly heads: HeadPool;
  readonly acceptHttp10 = true;
  readonly idleTimeoutMs = IDLE_TIMEOUT_MS;
  readonly #options: ExplicitProxyOptions;
  /** Connections of clients, with their ids. */
  readonly #servers = new Map<ServerConnection, number>();
  readonly #decisions = new Map<string, Decision>();
  #decidedAt = 0;

  constructor(options: ExplicitProxyOptions) {
    this.#options = options;
    this.heads = options.context.heads;
  }

  get draining(): boolean {
    return this.#options.context.draining;
  }

  serve(connection: Connection): void {
    this.#servers.set(new ServerConnection(connection, this), this.#options.context.nextConnectionId());
  }

  /** Connections between requests close; others end with their response. */
  drain(): void {
    for (const server of [...this.#servers.keys()]) server.closeIfIdle();
  }

  begin(server: ServerConnection, head: Http1Head): void {
    if (head.form !== "absolute" && !head.isConnect) {
      this.#answer(server, head, 400, "this port is an HTTP proxy: it takes absolute-form requests and CONNECT");
      return;
    }
    if (head.secureTarget) {
      this.#answer(server, head, 400, "https:// targets are reached with CONNECT");
      return;
    }
    head.dropKnown(K["proxy-authorization"]);
    const authority = head.authorityText;
    const decided = this.#decided(authority);
    if (decided !== undefined && !head.isConnect && head.minor === 1) {
      decided.terminal.begin(server, head, this.#info(server, decided.destination));
      return;
    }
    const target = splitAuthority(authority, 80);
    if (target === undefined) {
      this.#answer(server, head, 400, `"${authority}" names no host and port`);
      return;
    }
    const found = this.#options.destinations.find(target.host, target.port);
    if (!(found instanceof Promise)) {
      if (found !== undefined && !head.isConnect) this.#remember(authority, target, found);
      this.#go(server, head, target, found);
      return;
    }
    const held = new HeldRequest(server);
    found.then(
      (destination) =>
        held.release(
          () => this.#go(server, head, target, destination),
          () => this.heads.give(head),
        ),
      () =>
        held.release(
          () => this.#go(server, head, target, undefined),
          () => this.heads.give(head),
        ),
    );
  }

  #decided(authority: string): Decision | undefined {
    const { version } = this.#options.table;
    if (version !== this.#decidedAt) {
      this.#decidedAt = version;
      this.#decisions.clear();
    }
    return this.#decisions.get(authority);
  }

  /** Spares later requests to the authority the way through names and listeners, where that leads everybody to one place. */
  #remember(authority: string, target: Target, destination: Destination): void {
    const { table, destinations, httpOverTcp } = this.#options;
    const listener = table.outboundFor(destination.address, destination.port);
    if (listener === undefined || listener.asksForSource || destinations.isSpread(target.host)) return;
    const chain = listener.chainFor({ ...UNKNOWN_CLIENT, ...httpFacts(destination, "http/1.1") });
    if (chain === undefined || chain.judges || chain.spec.transport.kind === "tls" || isBlackHole(chain)) return;
    if (this.#decisions.size >= MAX_DECISIONS) this.#decisions.clear();
    this.#decisions.set(authority, { terminal: chain.httpFace(httpOverTcp), destination });
  }

  refused(): void {}

  closed(server: ServerConnection): void {
    this.#servers.delete(server);
  }

  localHeaders(): string {
    return `date: ${new Date(this.#options.context.clock.now()).toUTCString()}\r\nserver: lateen\r\n`;
  }

  #go(server: ServerConnection, head: Http1Head, target: Target, destination: Destination | undefined): void {
    const { table } = this.#options;
    const listener =
      destination === undefined
        ? table.wildcardFor(target.port)
        : table.outboundFor(destination.address, destination.port);
    if (listener === undefined) {
      const problem = destination === undefined ? "the name cannot be resolved" : "no listener takes it";
      this.#answer(server, head, destination === undefined ? 503 : 502, `cannot reach ${textOf(target)}: ${problem}`);
      return;
    }
    const info = this.#info(server, destination ?? { address: NO_ADDRESS, port: target.port });
    if (head.isConnect) this.#connect(server, head, listener, { info, target });
    else this.#request(server, head, listener, { info, target, resolved: destination !== undefined });
  }

  #request(
    server: ServerConnection,
    head: Http1Head,
    listener: Listener,
    { info, target, resolved }: { readonly info: ConnectionInfo; readonly target: Target; readonly resolved: boolean },
  ): void {
    const protocol = head.minor === 0 ? "http/1.0" : "http/1.1";
    const destination = { address: info.destinationAddress, port: info.destinationPort };
    const chain = listener.chainFor({ sourceAddress: info.sourceAddress, ...httpFacts(destination, protocol) });
    if (chain === undefined || chain.spec.transport.kind === "tls") {
      this.#answer(
        server,
        head,
        502,
        `cannot reach ${textOf(target)}: listener ${listener.spec.name} takes no plaintext HTTP`,
      );
      return;
    }
    if (isBlackHole(chain)) {
      this.#answer(server, head, 502, refusedText(target, chain));
      return;
    }
    if (!resolved && this.#needsAddress(chain, head)) {
      this.#answer(server, head, 503, `cannot reach ${textOf(target)}: the name cannot be resolved`);
      return;
    }
    if (chain.judge(info) !== undefined) {
      this.#answer(server, head, 403, "RBAC: access denied");
      return;
    }
    chain.httpFace(this.#options.httpOverTcp).begin(server, head, info);
  }

  /** Whether the request would go to the address that its name does not have. */
  #needsAddress(chain: Chain, head: Http1Head): boolean {
    const { plan, random } = this.#options.context;
    const { terminal } = chain.spec;
    if (terminal.kind === "tcp") return true;
    const table = "rds" in terminal.routes ? plan.routes(terminal.routes.rds) : undefined;
    const clusters = table?.match(head, random)?.route.clusters ?? [];
    return clusters.some(({ cluster }) => plan.cluster(cluster)?.spec.discovery === "originalDst");
  }

  #connect(
    server: ServerConnection,
    head: Http1Head,
    listener: Listener,
    { info, target }: { readonly info: ConnectionInfo; readonly target: Target },
  ): void {
    const { inspectors } = listener.spec;
    const certain = inspectors.tls || inspectors.http ? undefined : listener.chainFor({ ...info, ...RAW });
    if (certain !== undefined && isBlackHole(certain)) {
      this.#answer(server, head, 502, refusedText(target, certain));
      return;
    }
    const { connection } = server;
    this.heads.give(head);
    this.#servers.delete(server);
    connection.writeText("HTTP/1.1 200 Connection Established\r\n\r\n");
    const rest = server.release();
    listener.accept(connection, info);
    connection.resume();
    if (rest !== undefined || connection.ended) connection.replay(rest);
  }

  #info(server: ServerConnection, { address, port }: Destination): ConnectionInfo {
    const { remoteAddress, remotePort } = server.connection.socket;
    const connectionId = this.#servers.get(server);
    return {
      ...(connectionId === undefined ? {} : { connectionId }),
      sourceAddress: unmapped(remoteAddress ?? ""),
      sourcePort: remotePort ?? 0,
      destinationAddress: address,
      destinationPort: port,
      serverName: "",
      secure: false,
      peer: undefined,
    };
  }

  /** What the proxy itself has to say. The connection ends: the client asked for something that is not here. */
  #answer(server: ServerConnection, head: Http1Head, status: number, text: string): void {
    const body = Buffer.from(`${text}\n`);
    this.heads.give(head);
    server.closeAfterResponse();
    server.sendHead(status, undefined, undefined, `${this.localHeaders()}content-type: text/plain\r\n`, body.length);
    server.sendBody(body, 0, body.length);
    server.sendEnd("");
  }
}

const UNKNOWN_CLIENT = { sourceAddress: "" };

/** A plaintext request as a listener's inspection would see it. */
function httpFacts({ address, port }: Destination, protocol: "http/1.0" | "http/1.1") {
  return {
    destinationAddress: address,
    destinationPort: port,
    serverName: "",
    transportProtocol: "raw_buffer",
    applicationProtocols: [protocol],
  } as const;
}

const RAW = { transportProtocol: "raw_buffer", applicationProtocols: [] } as const;

function isBlackHole(chain: Chain): boolean {
  const { terminal } = chain.spec;
  return terminal.kind === "tcp" && terminal.clusters.every(({ cluster }) => cluster === BLACK_HOLE);
}

function refusedText(target: Target, chain: Chain): string {
  // The catch-all has a chain for its own port, lest it connect to itself.
  if (chain.spec.match.destinationPort === target.port) return `${textOf(target)} is a port of the proxy itself`;
  return `${textOf(target)} is not a service of this mesh, and outboundTrafficPolicy REGISTRY_ONLY allows no other`;
}

function textOf({ host, port }: Target): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
