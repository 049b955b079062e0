import type { TLSSocket } from "node:tls";
import { ClientConnection, type ClientOwner, type ResetReason } from "../http1/client-connection.ts";
import type { HeadPool } from "../http1/head.ts";
import type { Connection, ConnectionHandler } from "../io/connection.ts";
import { dial } from "../io/sockets.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { parseSubjectAltName } from "../tls/names.ts";
import type { Endpoint } from "./endpoint.ts";

/** Whoever waits for a connection. Exactly one of the two is called, unless it cancels first. */
export interface PoolUser {
  onPoolReady(client: ClientConnection): void;
  onPoolFailure(reason: ResetReason, detail: string): void;
}

/**
 * HTTP/1 connections to one endpoint. Idle ones are used last in, first out; a request without one waits (bounded by the
 * cluster's circuit breakers) for a new connection or for one that becomes free, whichever is first.
 */
export class EndpointPool implements ClientOwner {
  readonly heads: HeadPool;
  readonly #endpoint: Endpoint;
  readonly #host: string;
  readonly #port: number;
  readonly #idle: ClientConnection[] = [];
  readonly #idleSince: number[] = [];
  /** With the moment each was made. */
  readonly #all = new Map<ClientConnection, number>();
  readonly #waiting: PoolUser[] = [];
  readonly #sweep: WheelTimer;
  /** URI SAN of the peer on the latest TLS connection. */
  peerPrincipal: string | undefined = undefined;
  #connecting = 0;
  #session: Buffer | undefined = undefined;
  #sessionOwner: unknown = undefined;
  #retired = false;

  constructor(endpoint: Endpoint, address: { readonly host: string; readonly port: number }) {
    this.#endpoint = endpoint;
    this.#host = address.host;
    this.#port = address.port;
    this.heads = endpoint.cluster.context.heads;
    this.#sweep = endpoint.cluster.context.io.wheel.timer(() => this.#closeStale());
  }

  /**
   * A connection at once, or undefined: then `user` is told later. May report failure before it returns.
   * `fresh` asks for a new connection (a reused one has just failed).
   */
  acquire(user: PoolUser, fresh = false): ClientConnection | undefined {
    const cluster = this.#endpoint.cluster;
    const limits = cluster.spec.circuitBreakers;
    if (cluster.activeRequests >= limits.maxRequests) {
      cluster.counters.overflow();
      user.onPoolFailure("overflow", "");
      return undefined;
    }
    for (let client = fresh ? undefined : this.#idle.pop(); client; client = this.#idle.pop()) {
      this.#idleSince.pop();
      if (client.connection.closed) continue;
      if (!this.#aged(client)) return client;
      client.connection.destroy();
    }
    if (cluster.pendingRequests >= limits.maxPendingRequests) {
      cluster.counters.overflow();
      user.onPoolFailure("overflow", "");
      return undefined;
    }
    cluster.pendingRequests++;
    this.#waiting.push(user);
    this.#connectIfNeeded();
    return undefined;
  }

  cancel(user: PoolUser): void {
    const at = this.#waiting.indexOf(user);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    this.#endpoint.cluster.pendingRequests--;
  }

  /** Closes what is idle and lets the rest finish; nothing new is asked of a retired pool. */
  retire(): void {
    this.#retired = true;
    this.#sweep.cancel();
    for (const client of this.#idle.splice(0)) client.connection.destroy();
    this.#idleSince.length = 0;
  }

  /** Breaks everything, for shutdown. */
  destroy(): void {
    this.retire();
    for (const client of [...this.#all.keys()]) client.connection.destroy();
  }

  get connectionCount(): number {
    return this.#all.size;
  }

  idle(client: ClientConnection): void {
    const limit = this.#endpoint.cluster.spec.maxRequestsPerConnection;
    const worn = (limit > 0 && client.requests >= limit) || this.#aged(client);
    // Whoever waits is served by a retired pool too: it asked before.
    const next = worn ? undefined : this.#takeWaiting();
    if (next !== undefined) {
      next.onPoolReady(client);
      return;
    }
    if (worn || this.#retired) {
      client.connection.destroy();
      return;
    }
    this.#idle.push(client);
    const { idleTimeoutMs } = this.#endpoint.cluster.spec;
    const { wheel } = this.#endpoint.cluster.context.io;
    this.#idleSince.push(idleTimeoutMs > 0 ? wheel.now() : 0);
    if (idleTimeoutMs > 0 && !this.#sweep.armed) this.#sweep.arm(idleTimeoutMs);
  }

  gone(client: ClientConnection): void {
    if (!this.#all.delete(client)) return;
    this.#endpoint.cluster.connectionClosed();
    const at = this.#idle.indexOf(client);
    if (at >= 0) {
      this.#idle.splice(at, 1);
      this.#idleSince.splice(at, 1);
    }
    this.#connectIfNeeded();
  }

  #aged(client: ClientConnection): boolean {
    const { spec, context } = this.#endpoint.cluster;
    const born = this.#all.get(client);
    if (spec.maxConnectionDurationMs === undefined || born === undefined) return false;
    return context.io.wheel.now() - born >= spec.maxConnectionDurationMs;
  }

  #takeWaiting(): PoolUser | undefined {
    const next = this.#waiting.shift();
    if (next !== undefined) this.#endpoint.cluster.pendingRequests--;
    return next;
  }

  #connectIfNeeded(): void {
    const cluster = this.#endpoint.cluster;
    while (this.#connecting < this.#waiting.length) {
      // One connection per endpoint is always allowed, or nothing could ever move.
      const free = cluster.connections < cluster.spec.circuitBreakers.maxConnections;
      if (!free && this.#all.size + this.#connecting > 0) return;
      this.#connect();
    }
  }

  #connect(): void {
    this.#connecting++;
    this.#endpoint.cluster.connectionOpened();
    connectEndpoint(this.#endpoint, this.#host, this.#port, this, {
      ready: (connection) => {
        this.#connecting--;
        if (connection.secure) this.peerPrincipal = peerPrincipalOf(connection);
        const client = new ClientConnection(connection, this);
        this.#all.set(client, this.#endpoint.cluster.context.io.wheel.now());
        this.idle(client);
      },
      failed: (reason, detail) => {
        this.#connecting--;
        this.#endpoint.cluster.connectionClosed();
        this.#endpoint.cluster.counters.connectFail();
        this.#takeWaiting()?.onPoolFailure(reason, detail);
        this.#connectIfNeeded();
      },
    });
  }

  /** TLS session to resume, valid only for the context it was made with. */
  sessionFor(context: unknown): Buffer | undefined {
    return this.#sessionOwner === context ? this.#session : undefined;
  }

  keepSession(context: unknown, session: Buffer): void {
    this.#sessionOwner = context;
    this.#session = session;
  }

  #closeStale(): void {
    const limit = this.#endpoint.cluster.spec.idleTimeoutMs;
    const now = this.#endpoint.cluster.context.io.wheel.now();
    while (this.#idle.length > 0 && now - (this.#idleSince[0] ?? now) >= limit) {
      this.#idleSince.shift();
      this.#idle.shift()?.connection.destroy();
    }
    const oldest = this.#idleSince[0];
    if (oldest !== undefined) this.#sweep.arm(Math.max(10, limit - (now - oldest)));
  }
}

export interface ConnectOutcome {
  ready(connection: Connection): void;
  failed(reason: ResetReason, detail: string): void;
}

interface SessionStore {
  sessionFor(context: unknown): Buffer | undefined;
  keepSession(context: unknown, session: Buffer): void;
}

/** Connects to an endpoint with its transport and the cluster's connect timeout. One of the outcomes is called, later. */
export function connectEndpoint(
  endpoint: Endpoint,
  host: string,
  port: number,
  sessions: SessionStore | undefined,
  outcome: ConnectOutcome,
): Connection | undefined {
  const { cluster, transport } = endpoint;
  const { io, tls } = cluster.context;
  const secure = transport.kind === "tls" ? tls.client(transport) : undefined;
  if (secure !== undefined && !secure.ok) {
    queueMicrotask(() => outcome.failed("tlsFailure", `TLS_error: ${secure.error}`));
    return undefined;
  }
  const session = secure === undefined ? undefined : sessions?.sessionFor(secure.value);
  const options =
    secure === undefined ? undefined : { ...secure.value.options, ...(session === undefined ? {} : { session }) };
  const timer = io.wheel.timer(() => {
    connection.handler = { ...NOTHING };
    connection.destroy();
    outcome.failed("connectTimeout", "");
  });
  const connection = dial(io, { host, port, keepAliveMs: cluster.spec.tcpKeepaliveMs, tls: options }, (ready) => {
    timer.cancel();
    outcome.ready(ready);
  });
  if (secure !== undefined) {
    connection.socket.on("session", (fresh: Buffer) => sessions?.keepSession(secure.value, fresh));
  }
  connection.handler = {
    ...NOTHING,
    onClose(error) {
      timer.cancel();
      outcome.failed(secure === undefined ? "connectFailure" : "tlsFailure", failureText(connection, error));
    },
  };
  timer.arm(cluster.spec.connectTimeoutMs);
  return connection;
}

function peerPrincipalOf(connection: Connection): string | undefined {
  const { uris } = parseSubjectAltName((connection.socket as TLSSocket).getPeerX509Certificate()?.subjectAltName);
  return uris.length === 1 ? uris[0] : undefined;
}

const NOTHING: ConnectionHandler = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "delayed connect error: Connection refused",
  ECONNRESET: "delayed connect error: Connection reset by peer",
  EHOSTUNREACH: "delayed connect error: No route to host",
  ENETUNREACH: "delayed connect error: Network is unreachable",
  ETIMEDOUT: "delayed connect error: Connection timed out",
};

function failureText(connection: Connection, error: string | undefined): string {
  if (error === undefined) return "";
  const known = SYSTEM_ERRORS[error];
  if (known !== undefined) return known;
  return connection.secure ? `TLS_error: ${connection.failure}` : `delayed connect error: ${error}`;
}
