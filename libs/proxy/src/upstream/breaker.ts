import type { BreakerLimits } from "../config/plan.ts";
import { LOAD_PARTS, type SharedLoad } from "./shared-load.ts";

/** What a breaker counts, by Envoy's names of its gauges. */
export type BreakerPart = keyof typeof LOAD_PARTS;

/**
 * The load of one priority of a cluster against its limits, which hold for all workers of the process together: each worker counts what
 * it has itself and, where there are others, tells it in shared memory. Whoever adds to it asks before whether it may: a limit may be
 * exceeded where nothing could move otherwise, and by workers that ask at the very same moment, as in Envoy.
 * @see envoy.config.cluster.v3.CircuitBreakers.Thresholds
 */
export class Breaker {
  readonly limits: BreakerLimits;
  #changed: (part: BreakerPart, open: boolean) => void;
  /** Where other workers see this one's load, and it theirs; undefined: there are none. */
  #shared: SharedLoad | undefined;
  /** This worker's own, as are the others. */
  activeRequests = 0;
  pendingRequests = 0;
  connections = 0;
  /** Retries under way. */
  retries = 0;

  /** @param changed told when a part reaches its limit, and when it is below it again. */
  constructor(limits: BreakerLimits, changed: (part: BreakerPart, open: boolean) => void, shared?: SharedLoad) {
    this.limits = limits;
    this.#changed = changed;
    this.#shared = shared;
  }

  /** No further request may be sent. */
  get requestsFull(): boolean {
    const { maxRequests } = this.limits;
    if (this.#shared === undefined) return this.activeRequests >= maxRequests;
    return maxRequests < UNLIMITED && this.#shared.total(LOAD_PARTS.rq) >= maxRequests;
  }

  /** No further request may wait for a connection. */
  get pendingFull(): boolean {
    const { maxPendingRequests } = this.limits;
    if (this.#shared === undefined) return this.pendingRequests >= maxPendingRequests;
    return maxPendingRequests < UNLIMITED && this.#shared.total(LOAD_PARTS.rq_pending) >= maxPendingRequests;
  }

  get connectionsFull(): boolean {
    const { maxConnections } = this.limits;
    if (this.#shared === undefined) return this.connections >= maxConnections;
    return maxConnections < UNLIMITED && this.#shared.total(LOAD_PARTS.cx) >= maxConnections;
  }

  get retriesFull(): boolean {
    return this.#total("rq_retry", this.retries) >= this.retryLimit;
  }

  /** How many retries may be under way. */
  get retryLimit(): number {
    const { maxRetries, retryBudget: budget } = this.limits;
    if (budget === undefined) return maxRetries;
    const load = this.#total("rq", this.activeRequests) + this.#total("rq_pending", this.pendingRequests);
    return Math.max(budget.minimum, Math.floor((load * budget.percent) / 100));
  }

  addRequests(by: 1 | -1): void {
    this.activeRequests += by;
    if (this.#shared !== undefined) this.#tell("rq", this.activeRequests, by, this.limits.maxRequests);
    else this.#compare("rq", this.activeRequests, by, this.limits.maxRequests);
  }

  addPending(by: number): void {
    this.pendingRequests += by;
    if (this.#shared !== undefined) this.#tell("rq_pending", this.pendingRequests, by, this.limits.maxPendingRequests);
    else this.#compare("rq_pending", this.pendingRequests, by, this.limits.maxPendingRequests);
  }

  addConnections(by: 1 | -1): void {
    this.connections += by;
    if (this.#shared !== undefined) this.#tell("cx", this.connections, by, this.limits.maxConnections);
    else this.#compare("cx", this.connections, by, this.limits.maxConnections);
  }

  addRetries(by: 1 | -1): void {
    this.retries += by;
    if (this.#shared !== undefined) this.#tell("rq_retry", this.retries, by, this.retryLimit);
    else this.#compare("rq_retry", this.retries, by, this.retryLimit);
  }

  /** Its cluster is out of force: what is under way is no load of the one in its place. */
  detach(): void {
    const shared = this.#shared;
    this.#shared = undefined;
    const told = shared === undefined ? PARTS.filter((part) => this.#own(part) >= this.#limitOf(part)) : this.#open;
    for (const part of told) this.#changed(part, false);
    this.#open.clear();
    shared?.clear();
    this.#changed = () => {};
  }

  /** Whether a part is still at its limit, for whoever has told so and hears nothing of other workers. Answers whether any is. */
  review(): boolean {
    for (const part of this.#open) {
      if (this.#total(part, 0) >= this.#limitOf(part)) continue;
      this.#open.delete(part);
      this.#changed(part, false);
    }
    return this.#open.size > 0;
  }
  /** Parts at their limit, as this worker has told; kept only where there are others. */
  readonly #open = new Set<BreakerPart>();

  #total(part: BreakerPart, own: number): number {
    return this.#shared === undefined ? own : this.#shared.total(LOAD_PARTS[part]);
  }

  #own(part: BreakerPart): number {
    switch (part) {
      case "cx":
        return this.connections;
      case "rq":
        return this.activeRequests;
      case "rq_pending":
        return this.pendingRequests;
      case "rq_retry":
        return this.retries;
    }
  }

  #limitOf(part: BreakerPart): number {
    switch (part) {
      case "cx":
        return this.limits.maxConnections;
      case "rq":
        return this.limits.maxRequests;
      case "rq_pending":
        return this.limits.maxPendingRequests;
      case "rq_retry":
        return this.retryLimit;
    }
  }

  #tell(part: BreakerPart, own: number, by: number, limit: number): void {
    const shared = this.#shared;
    if (shared === undefined) return;
    shared.set(LOAD_PARTS[part], own);
    if (limit >= UNLIMITED || (by < 0 && this.#open.size === 0)) return;
    const full = shared.total(LOAD_PARTS[part]) >= limit;
    if (full === this.#open.has(part)) return;
    if (full) this.#open.add(part);
    else this.#open.delete(part);
    this.#changed(part, full);
  }

  #compare(part: BreakerPart, now: number, by: number, limit: number): void {
    if (now - by < limit !== now < limit) this.#changed(part, now >= limit);
  }
}

const PARTS: readonly BreakerPart[] = ["cx", "rq_pending", "rq", "rq_retry"];

/** Istio's way to say that there is no limit. */
const UNLIMITED = 2 ** 32 - 1;
