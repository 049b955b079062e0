import type { Clock, Logger, Random, Secret } from "@lateen/kernel";
import type { RedisFailure } from "./errors.ts";
import type { RedisAddress } from "./redis-url.ts";

/** TLS of the connection, PEM. */
export interface RedisTls {
  /** What Redis' certificate must chain to. Default: what Node.js trusts. */
  readonly caPem?: string;
  /** Name in Redis' certificate. Default: the host of its address. */
  readonly serverName?: string;
  /** For a Redis that asks its clients for certificates. */
  readonly certPem?: string;
  readonly keyPem?: string;
}

export interface RedisQuotaOptions {
  readonly address: RedisAddress;
  /** Read for each connection, because it may change. */
  readonly password?: () => Secret | undefined;
  /** Used with addresses that say TLS. */
  readonly tls?: RedisTls;
  /** What all keys begin with. Default `lateen:quota:`. */
  readonly keyPrefix?: string;
  /** Milliseconds from when a question came in that its answer may take. Default 15: below the 20 that Envoy gives a rate-limit service. */
  readonly timeoutMs?: number;
  /** Milliseconds that connecting, authentication and a first answer may take. Default 1000. */
  readonly connectTimeoutMs?: number;
  /** Failures in a row, without any answer between them, after which nobody waits for Redis any more. Default 3. */
  readonly failuresToOpen?: number;
  /** Questions at a time; further ones fail at once. Default 1000. */
  readonly maxInFlight?: number;
  /** Milliseconds before Redis is tried again: at first, and at most. Default 100 and 1000. */
  readonly retry?: { readonly firstMs: number; readonly maxMs: number };
  readonly observer?: RedisObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Hears how Redis does. */
export interface RedisObserver {
  /** Whether Redis is asked (`up`) or not (the breaker is open). */
  onState?(up: boolean): void;
  /** A question that had no answer. */
  onFailure?(failure: RedisFailure): void;
}
