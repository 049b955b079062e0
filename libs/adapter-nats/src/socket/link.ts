import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { type Clock, type Logger, messageOf, type Random, type Scope, sleep } from "@lateen/kernel";
import { connect, type NatsConnection } from "nats";
import { badServer } from "../errors.ts";
import { authenticatorOf, type NatsCredentials, type NatsTls, tlsOf } from "./credentials.ts";

export interface LinkOptions {
  /** `nats://HOST:PORT` or `tls://HOST:PORT`, tried in turn. */
  readonly servers: readonly string[];
  /** What the server's own pages call this client. */
  readonly name: string;
  readonly credentials?: NatsCredentials | undefined;
  readonly tls?: NatsTls | undefined;
  readonly scope: Scope;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const CONNECT_TIMEOUT_MS = 3000;
const FIRST_WAIT_MS = 100;
const MOST_WAIT_MS = 1000;
/** A server that is frozen or cut off is noticed after two of these without an answer. */
const PING_MS = 1000;

/**
 * A connection to one of the servers, made again whenever it ends, for ever; waits between attempts grow from 0.1 s to 1 s, each drawn from the
 * upper half of its bound. Nothing is queued while there is none.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #listeners = new Set<(connection: NatsConnection | undefined) => void>();
  readonly #servers: readonly Server[];
  #connection: NatsConnection | undefined;
  #reconnects = 0;
  #failure: string | undefined;

  /** @throws LTN6202 for an address that is none. */
  constructor(options: LinkOptions) {
    this.#options = options;
    this.#servers = options.servers.map(parseServer);
    if (this.#servers.length === 0) throw badServer("");
    const open = options.tls === undefined ? this.#servers.filter(({ name, tls }) => !tls && !isLoopback(name)) : [];
    if (open.length > 0) {
      // Configuration has the private keys of gateways in it.
      options.logger.warn({ event: "nats.not_encrypted", servers: open.map(({ host }) => host) });
    }
    void this.#run();
  }

  get connection(): NatsConnection | undefined {
    return this.#connection;
  }

  /** Connections that were made. */
  get connections(): number {
    return this.#reconnects;
  }

  /** Why there is none. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Called at once when connected, and whenever that changes. @returns ends it. */
  follow(listener: (connection: NatsConnection | undefined) => void): () => void {
    this.#listeners.add(listener);
    if (this.#connection !== undefined) listener(this.#connection);
    return () => this.#listeners.delete(listener);
  }

  async #run(): Promise<void> {
    const { scope, clock, random, logger } = this.#options;
    scope.defer(async () => {
      await this.#connection?.close();
    });
    for (let failures = 0, attempt = 0; !scope.closed; attempt++) {
      const server = this.#servers[attempt % this.#servers.length];
      try {
        if (server === undefined) return;
        const connection = await this.#open(server);
        if (scope.closed) {
          await connection.close();
          return;
        }
        failures = 0;
        this.#reconnects++;
        this.#failure = undefined;
        logger.info({ event: "nats.connected", server: connection.getServer(), version: connection.info?.version });
        this.#tell(connection);
        void this.#logStatus(connection);
        const reason = await connection.closed();
        this.#failure = reason ? messageOf(reason) : "the connection was closed";
        this.#tell(undefined);
        if (!scope.closed) logger.warn({ event: "nats.disconnected", reason: this.#failure });
      } catch (error) {
        this.#failure = messageOf(error);
        // Every server was tried once more without success: that is one line, not one per attempt for hours.
        if (failures < this.#servers.length || failures % 60 === 0) {
          logger.warn({ event: "nats.connect_failed", server: server?.host, reason: this.#failure, failures });
        }
        failures++;
      }
      const bound = Math.min(MOST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 10));
      await sleep(clock, bound * (0.5 + random.next() / 2), scope.signal).catch(() => undefined);
    }
  }

  #open({ host, name: serverName, tls: wanted }: Server): Promise<NatsConnection> {
    const { name, credentials, tls } = this.#options;
    return connect({
      servers: [host],
      name,
      reconnect: false,
      timeout: CONNECT_TIMEOUT_MS,
      pingInterval: PING_MS,
      maxPingOut: 2,
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
      ...(credentials === undefined ? {} : { authenticator: authenticatorOf(credentials) }),
      // Without TLS asked for, a server that offers it is not spoken to in the clear either: credentials would be in it.
      ...(wanted || tls !== undefined ? { tls: { ...tlsOf(tls ?? {}), ...identityCheck(serverName) } } : {}),
    });
  }

  #tell(connection: NatsConnection | undefined): void {
    this.#connection = connection;
    for (const listener of this.#listeners) listener(connection);
  }

  /** What a server refuses is said here only. */
  async #logStatus(connection: NatsConnection): Promise<void> {
    for await (const { type, data } of connection.status()) {
      if (type === "error") this.#options.logger.warn({ event: "nats.refused", reason: String(data) });
    }
  }
}

/**
 * Options for Node's TLS, which the client hands on as they are. Of a connection to an IP address Node would not know what to look for in the
 * certificate, and take one for `localhost`.
 */
function identityCheck(name: string): object {
  return {
    checkServerIdentity: (_name: string, certificate: PeerCertificate) => checkServerIdentity(name, certificate),
  };
}

interface Server {
  readonly host: string;
  /** What its certificate must be for. */
  readonly name: string;
  readonly tls: boolean;
}

function isLoopback(name: string): boolean {
  return name === "localhost" || name === "::1" || /^127\.\d+\.\d+\.\d+$/.test(name);
}

function parseServer(text: string): Server {
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `nats://${text}`);
  } catch {
    throw badServer(text);
  }
  // Credentials in an address would show in logs and process lists.
  const plain = url.username === "" && url.password === "" && /^\/?$/.test(url.pathname) && url.search === "";
  if (!/^(nats|tls):$/.test(url.protocol) || url.hostname === "" || !plain) {
    throw badServer(url.password === "" ? text : `${url.protocol}//[redacted]@${url.host}`);
  }
  const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return { name, host: `${url.hostname}:${url.port === "" ? 4222 : url.port}`, tls: url.protocol === "tls:" };
}
