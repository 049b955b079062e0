import { type Clock, type Logger, messageOf } from "@lateen/kernel";
import type { QuotaStore } from "@lateen/ports";
import type { RateLimitDescriptor } from "@lateen/proto/envoy/extensions/common/ratelimit/v3/ratelimit";
import {
  type RateLimitRequest,
  RateLimitResponse,
  RateLimitResponse_Code,
  type RateLimitResponse_DescriptorStatus,
  type RateLimitResponse_RateLimit,
} from "@lateen/proto/envoy/service/ratelimit/v3/rls";
import { type QuotaGrant, type QuotaRequest, UNIT_SECONDS } from "@lateen/traffic";
import { badRateLimitRequest, limitsNotKnown } from "../errors.ts";
import { counterName, type MatchedRule } from "./domain-table.ts";
import { LimitConfig, type LimitDocument } from "./limit-config.ts";
import { createLimitMetrics, hitsNearLimit, type LimitMetrics } from "./limit-metrics.ts";

/**
 * What is answered while the store does not decide: `open`, everything passes; `closed`, what has a limit is over it; `proxy`, an error, so that
 * `failure_mode_deny` of the proxy that asks decides.
 */
export type QuotaFailMode = "open" | "closed" | "proxy";

export interface RateLimiterOptions {
  readonly store: QuotaStore;
  readonly failMode: QuotaFailMode;
  /** Where limits come from; until each has delivered once, nothing is decided. */
  readonly sources: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Series per metric. Default 2000. */
  readonly maxSeries?: number;
}

/** Envoy's rate-limit service over a {@link QuotaStore}. */
export interface RateLimiter {
  /**
   * @param sinceMs when the request came in, by the monotonic clock. Default: now.
   * @throws LTN8101 for requests that say too little or too much, LTN8102 before the limits are known; in fail mode `proxy` the store's error.
   */
  decide(request: RateLimitRequest, sinceMs?: number): Promise<RateLimitResponse>;
  /** Takes what changed in a source. */
  configure(source: string, documents: readonly LimitDocument[]): void;
  /** Hears how the store does. */
  readonly observer: { onState(up: boolean): void; onFailure(reason: string): void };
  /** Prometheus text. */
  metrics(): string;
}

/** More in one request is no proxy's doing. */
const MAX_DESCRIPTORS = 256;
const UNIT_NUMBERS = { second: 1, minute: 2, hour: 3, day: 4, month: 5, year: 6 } as const;
const UNLIMITED = 0xffff_ffff;
const { OK, OVER_LIMIT } = RateLimitResponse_Code;

/** What a descriptor of a request counts against. */
type Asked =
  | { readonly kind: "unlimited"; readonly path: string }
  | {
      readonly kind: "limited";
      readonly path: string;
      readonly shadow: boolean;
      readonly current: RateLimitResponse_RateLimit;
      readonly request: QuotaRequest;
    };

export function createRateLimiter(options: RateLimiterOptions): RateLimiter {
  const { store, failMode, clock } = options;
  const logger = options.logger.child({ component: "rate-limits" });
  const metrics = createLimitMetrics(options.maxSeries ?? 2000);
  const config = new LimitConfig(logger, metrics);
  const waiting = new Set(options.sources);

  async function decide(request: RateLimitRequest, sinceMs: number): Promise<RateLimitResponse> {
    if (waiting.size > 0) throw limitsNotKnown([...waiting]);
    check(request);
    const asked = askedOf(config, request);
    const limited = asked.flatMap((one) => (one?.kind === "limited" ? [one.request] : []));
    const grants = limited.length === 0 ? [] : await allocate(limited, sinceMs);
    if (limited.length === 0) answered("rules", sinceMs);
    let next = 0;
    const statuses = asked.map((one) => {
      const hits = one?.kind === "limited" ? one.request.amount : request.hitsAddend || 1;
      const grant = one?.kind === "limited" ? grants?.[next++] : undefined;
      return statusOf(metrics, { domain: request.domain, asked: one, hits, grant, failMode });
    });
    const over = statuses.some(({ code }) => code === OVER_LIMIT);
    metrics.requests.add({ answer: over ? "over_limit" : "ok" });
    return RateLimitResponse.fromPartial({ overallCode: over ? OVER_LIMIT : OK, statuses });
  }

  /** Undefined: the fail mode has to answer. */
  async function allocate(requests: readonly QuotaRequest[], sinceMs: number) {
    try {
      const grants: readonly QuotaGrant[] = await store.allocate(requests, sinceMs);
      answered("store", sinceMs);
      return grants;
    } catch (error) {
      answered("mode", sinceMs);
      metrics.undecided.add({ mode: failMode });
      logger.debug({ event: "limits.undecided", mode: failMode, reason: messageOf(error) });
      if (failMode === "proxy") throw error;
      return undefined;
    }
  }

  function answered(by: "store" | "mode" | "rules", sinceMs: number): void {
    metrics.seconds.observe((clock.monotonic() - sinceMs) / 1000, { by });
  }

  return {
    async decide(request, sinceMs = clock.monotonic()) {
      try {
        return await decide(request, sinceMs);
      } catch (error) {
        metrics.requests.add({ answer: "error" });
        throw error;
      }
    },
    configure(source, documents) {
      config.update(documents);
      waiting.delete(source);
    },
    observer: {
      onState: (up) => metrics.storeUp.set(up ? 1 : 0),
      onFailure: (reason) => metrics.storeErrors.add({ reason }),
    },
    metrics: () => metrics.registry.exposition(),
  };
}

function check({ domain, descriptors }: RateLimitRequest): void {
  if (domain === "") throw badRateLimitRequest("it names no domain");
  if (descriptors.length === 0) throw badRateLimitRequest("it has no descriptors");
  if (descriptors.length > MAX_DESCRIPTORS)
    throw badRateLimitRequest(`it has more than ${MAX_DESCRIPTORS} descriptors`);
  if (descriptors.some(({ entries }) => entries.length === 0)) {
    throw badRateLimitRequest("it has a descriptor without entries");
  }
}

/** One for each descriptor; undefined: nothing limits it. */
function askedOf(config: LimitConfig, { domain, descriptors, hitsAddend }: RateLimitRequest): (Asked | undefined)[] {
  const table = config.table(domain);
  const hits = hitsAddend || 1;
  const rules = descriptors.map((descriptor) =>
    overrideOf(domain, descriptor, hits) === undefined ? table?.find(descriptor.entries) : undefined,
  );
  const replaced = new Set(rules.flatMap((rule) => rule?.limit.replaces ?? []));
  return descriptors.map((descriptor, index) => {
    const rule = rules[index];
    if (rule === undefined) return overrideOf(domain, descriptor, hits);
    return replaced.has(rule.limit.name) ? undefined : askedByRule(rule, hits);
  });
}

/** A limit that the request brings itself goes before the configured ones. */
function overrideOf(domain: string, { entries, limit }: RateLimitDescriptor, hits: number): Asked | undefined {
  const seconds = UNIT_SECONDS[limit?.unit ?? 0] ?? 0;
  if (limit === undefined || seconds === 0) return undefined;
  const key = counterName([domain, ...entries.flatMap(({ key: name, value }) => [name, value])]);
  const max = limit.requestsPerUnit;
  return {
    kind: "limited",
    path: "override",
    shadow: false,
    current: { requestsPerUnit: max, unit: limit.unit, name: "" },
    request: { key, amount: hits, limit: { max, windowMs: seconds * 1000, algorithm: "fixed" } },
  };
}

function askedByRule({ limit, shadow, counter, path }: MatchedRule, hits: number): Asked {
  const { rate, name } = limit;
  if (rate === "unlimited") return { kind: "unlimited", path };
  const unit = UNIT_NUMBERS[rate.unit];
  const windowMs = (UNIT_SECONDS[unit] ?? 0) * 1000;
  return {
    kind: "limited",
    path,
    shadow,
    current: { requestsPerUnit: rate.requests, unit, name },
    request: { key: counter, amount: hits, limit: { max: rate.requests, windowMs, algorithm: rate.algorithm } },
  };
}

interface Decided {
  readonly domain: string;
  readonly asked: Asked | undefined;
  readonly hits: number;
  readonly grant: QuotaGrant | undefined;
  readonly failMode: QuotaFailMode;
}

/** The answer about one descriptor, counted. */
function statusOf(
  metrics: LimitMetrics,
  { domain, asked, hits, grant, failMode }: Decided,
): RateLimitResponse_DescriptorStatus {
  if (asked === undefined) return made({ code: OK });
  const labels = { domain, descriptor: asked.path };
  metrics.hits.add(labels, hits);
  if (asked.kind === "unlimited") {
    metrics.within.add(labels, hits);
    return made({ code: OK, limitRemaining: UNLIMITED });
  }
  const { current, shadow } = asked;
  if (grant === undefined) {
    return made({ code: failMode === "closed" && !shadow ? OVER_LIMIT : OK, currentLimit: current });
  }
  const over = grant.granted < hits;
  if (over) metrics.over.add(labels, hits);
  else metrics.within.add(labels, hits);
  if (over && shadow) metrics.shadow.add(labels, hits);
  const near = hitsNearLimit(current.requestsPerUnit, grant.remaining, grant.granted);
  if (near > 0) metrics.near.add(labels, near);
  return made({
    code: over && !shadow ? OVER_LIMIT : OK,
    currentLimit: current,
    limitRemaining: grant.remaining,
    durationUntilReset: { seconds: BigInt(Math.ceil(grant.validMs / 1000)), nanos: 0 },
  });
}

function made(
  status: Pick<RateLimitResponse_DescriptorStatus, "code"> & Partial<RateLimitResponse_DescriptorStatus>,
): RateLimitResponse_DescriptorStatus {
  return { limitRemaining: 0, ...status };
}
