import type { BreakerLimits } from "../config/plan.ts";

/** What a breaker counts, by Envoy's names of its gauges. */
export type BreakerPart = "cx" | "rq_pending" | "rq" | "rq_retry";

/**
 * The load of one priority of a cluster against its limits. Whoever adds to it asks before whether it may: a limit may be exceeded where
 * nothing could move otherwise.
 * @see envoy.config.cluster.v3.CircuitBreakers.Thresholds
 */
export class Breaker {
  readonly limits: BreakerLimits;
  readonly #changed: (part: BreakerPart, open: boolean) => void;
  activeRequests = 0;
  pendingRequests = 0;
  connections = 0;
  /** Retries under way. */
  retries = 0;

  /** @param changed told when a part reaches its limit, and when it is below it again. */
  constructor(limits: BreakerLimits, changed: (part: BreakerPart, open: boolean) => void) {
    this.limits = limits;
    this.#changed = changed;
  }

  /** How many retries may be under way. */
  get retryLimit(): number {
    const { maxRetries, retryBudget: budget } = this.limits;
    if (budget === undefined) return maxRetries;
    return Math.max(budget.minimum, Math.floor(((this.activeRequests + this.pendingRequests) * budget.percent) / 100));
  }

  addRequests(by: 1 | -1): void {
    const before = this.activeRequests;
    this.activeRequests += by;
    this.#compare("rq", before, this.activeRequests, this.limits.maxRequests);
  }

  addPending(by: number): void {
    const before = this.pendingRequests;
    this.pendingRequests += by;
    this.#compare("rq_pending", before, this.pendingRequests, this.limits.maxPendingRequests);
  }

  addConnections(by: 1 | -1): void {
    const before = this.connections;
    this.connections += by;
    this.#compare("cx", before, this.connections, this.limits.maxConnections);
  }

  addRetries(by: 1 | -1): void {
    const before = this.retries;
    this.retries += by;
    this.#compare("rq_retry", before, this.retries, this.retryLimit);
  }

  #compare(part: BreakerPart, before: number, now: number, limit: number): void {
    if (before < limit !== now < limit) this.#changed(part, now >= limit);
  }
}
