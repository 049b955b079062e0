import type { Scope } from "@lateen/kernel";
import type { QuotaStore } from "@lateen/ports";
import { type QuotaGrant, type QuotaRequest, quotaCounter, windowParts } from "@lateen/traffic";
import { addressText, RedisConnection, type ScriptedRedis } from "./connection.ts";
import { quotaUnavailable, type RedisFailure } from "./errors.ts";
import type { RedisQuotaOptions } from "./options.ts";

export interface RedisQuotaStore extends QuotaStore {
  /** Whether Redis is asked; false while the breaker is open. */
  readonly up: boolean;
}

/**
 * Counts in Redis, for everybody who uses the same one. Comes up by itself, also when Redis is not there yet. Fails with LTN6501: at once while
 * Redis is away, `timeoutMs` after the question came in when it does not answer.
 */
export function redisQuotaStore(scope: Scope, options: RedisQuotaOptions): RedisQuotaStore {
  const { keyPrefix = "lateen:quota:", timeoutMs = 15, maxInFlight = 1_000, observer, clock } = options;
  const connection = new RedisConnection(options, scope);
  const address = addressText(options);
  let inFlight = 0;

  function unavailable(failure: RedisFailure, cause: unknown) {
    observer?.onFailure?.(failure);
    return quotaUnavailable(address, failure, cause);
  }

  async function ask(
    client: ScriptedRedis,
    requests: readonly QuotaRequest[],
    leftMs: number,
  ): Promise<readonly QuotaGrant[]> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timedOut = new Error(`no answer within ${timeoutMs} ms`);
    // An answer that was here before this process came to look at it is no failure of Redis: sockets are read before it is one.
    const cancel = clock.after(leftMs, () => setImmediate(() => reject(timedOut)));
    inFlight++;
    const answers = Promise.all(requests.map((request) => allocate(client, keyPrefix, request)));
    try {
      const grants = await Promise.race([answers, late]);
      connection.answered(client);
      return grants;
    } catch (error) {
      connection.failed(client, error);
      const failure = error === timedOut ? "timeout" : isReply(error) ? "error" : "away";
      throw unavailable(failure, error);
    } finally {
      cancel();
      inFlight--;
    }
  }

  return {
    get up() {
      return connection.client !== undefined;
    },
    async allocate(requests, sinceMs) {
      if (requests.length === 0) return [];
      const { client } = connection;
      if (client === undefined) throw unavailable("away", connection.reason);
      if (inFlight >= maxInFlight) throw unavailable("busy", new Error(`${maxInFlight} questions wait already`));
      const leftMs = sinceMs === undefined ? timeoutMs : timeoutMs - (clock.monotonic() - sinceMs);
      // What came too late to be asked says nothing about Redis.
      if (leftMs <= 0) throw unavailable("late", new Error(`the question is older than ${timeoutMs} ms`));
      return ask(client, requests, leftMs);
    },
  };
}

async function allocate(client: ScriptedRedis, prefix: string, request: QuotaRequest): Promise<QuotaGrant> {
  const { limit, amount, bestEffort = false, dedup } = request;
  const { perWindow, counted } = windowParts(limit);
  // In braces: both keys are in one slot of a cluster.
  const counter = `${prefix}{${quotaCounter(request)}}`;
  const [granted, remaining, validMs, nowMs] = await client.allocateQuota(
    counter,
    dedup === undefined ? counter : `${counter}:${dedup.id}`,
    limit.max,
    limit.windowMs,
    perWindow,
    counted,
    amount,
    bestEffort ? 1 : 0,
    dedup?.forMs ?? 0,
  );
  return { granted, remaining, validMs, atMs: Number(nowMs) };
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError";
}
