import { type CancelTimer, messageOf, type Scope } from "@lateen/kernel";
import { Redis, type RedisOptions } from "ioredis";
import { ALLOCATE_SCRIPT } from "./allocate-script.ts";
import type { RedisQuotaOptions } from "./options.ts";

/** A connection with our script. */
export interface ScriptedRedis extends Redis {
  allocateQuota(
    counter: string,
    repeat: string,
    ...argv: readonly (string | number)[]
  ): Promise<readonly [granted: number, remaining: number, validMs: number, nowMs: string]>;
}

/**
 * One connection to Redis and the breaker before it.
 *
 * - Up → away: the connection ends, or `failuresToOpen` questions in a row have no answer. The connection is cut: what still waits fails now,
 *   and a Redis that was frozen is not asked old questions first.
 * - Away → up: after a wait, doubled each time, a new connection answers PING. Nobody's question is used to find out.
 */
export class RedisConnection {
  readonly #options: RedisQuotaOptions;
  readonly #failuresToOpen: number;
  #client: ScriptedRedis | undefined;
  #reason: unknown = "not connected yet";
  #failures = 0;
  #attempts = 0;
  #closed = false;
  #cancelRetry: CancelTimer = () => {};

  constructor(options: RedisQuotaOptions, scope: Scope) {
    this.#options = options;
    this.#failuresToOpen = options.failuresToOpen ?? 3;
    options.observer?.onState?.(false);
    void this.#connect();
    scope.defer(() => {
      this.#closed = true;
      this.#cancelRetry();
      this.#client?.disconnect();
      this.#client = undefined;
    });
  }

  /** What to ask; undefined while the breaker is open. */
  get client(): ScriptedRedis | undefined {
    return this.#client;
  }

  /** Why the breaker is open. */
  get reason(): unknown {
    return this.#reason;
  }

  /** `client` answered. */
  answered(client: ScriptedRedis): void {
    if (client === this.#client) this.#failures = 0;
  }

  /** `client` did not answer, or with an error. */
  failed(client: ScriptedRedis, reason: unknown): void {
    if (client !== this.#client) return;
    this.#failures++;
    if (this.#failures >= this.#failuresToOpen) this.#lose(client, reason);
  }

  async #connect(): Promise<void> {
    const { connectTimeoutMs = 1_000, observer, clock, logger } = this.#options;
    const client = new Redis(this.#clientOptions(connectTimeoutMs)) as ScriptedRedis;
    let lastError: unknown;
    client.on("error", (error) => {
      lastError = error;
    });
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = clock.after(connectTimeoutMs, () => reject(new Error(`no answer within ${connectTimeoutMs} ms`)));
    try {
      await Promise.race([client.connect().then(() => client.ping()), late]);
    } catch (error) {
      client.disconnect();
      if (!this.#closed) this.#retryLater(lastError ?? error);
      return;
    } finally {
      cancel();
    }
    if (this.#closed) return client.disconnect();
    client.once("close", () => this.#lose(client, lastError ?? new Error("the connection ended")));
    this.#client = client;
    this.#failures = 0;
    this.#attempts = 0;
    logger.info({ event: "redis.connected", address: addressText(this.#options) });
    observer?.onState?.(true);
  }

  #lose(client: ScriptedRedis, reason: unknown): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    client.disconnect();
    this.#options.observer?.onState?.(false);
    this.#retryLater(reason);
  }

  #retryLater(reason: unknown): void {
    const { retry = { firstMs: 100, maxMs: 1_000 }, clock, random, logger } = this.#options;
    this.#reason = reason;
    const wait = Math.min(retry.maxMs, retry.firstMs * 2 ** this.#attempts) * (0.5 + random.next() / 2);
    if (this.#attempts === 0) {
      logger.warn({ event: "redis.away", address: addressText(this.#options), reason: messageOf(reason) });
    }
    this.#attempts = Math.min(this.#attempts + 1, 16);
    this.#cancelRetry = clock.after(wait, () => void this.#connect());
  }

  #clientOptions(connectTimeout: number): Omit<RedisOptions, "replyMapping"> {
    const { address, password, tls } = this.#options;
    const { host, port, username, database } = address;
    const secret = password?.()?.revealSecret();
    return {
      host,
      port,
      db: database,
      ...(username === undefined ? {} : { username }),
      ...(secret === undefined ? {} : { password: secret }),
      ...(address.tls ? { tls: tlsOptions(tls ?? {}, host) } : {}),
      connectTimeout,
      lazyConnect: true,
      // Every wait is ours: no queue while offline, no second try of a question, no reconnecting behind our back.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      autoResendUnfulfilledCommands: false,
      // What every Redis speaks, also those before 6.
      protocol: 2,
      noDelay: true,
      connectionName: "lateen-quota",
      scripts: { allocateQuota: { lua: ALLOCATE_SCRIPT, numberOfKeys: 2 } },
    };
  }
}

export function addressText({ address }: Pick<RedisQuotaOptions, "address">): string {
  return `${address.host}:${address.port}`;
}

function tlsOptions({ caPem, serverName, certPem, keyPem }: NonNullable<RedisQuotaOptions["tls"]>, host: string) {
  return {
    servername: serverName ?? host,
    minVersion: "TLSv1.2" as const,
    ...(caPem === undefined ? {} : { ca: caPem }),
    ...(certPem === undefined ? {} : { cert: certPem }),
    ...(keyPem === undefined ? {} : { key: keyPem }),
  };
}
