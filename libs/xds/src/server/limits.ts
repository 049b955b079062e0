import type { Clock } from "@lateen/kernel";
import type { StreamLimits } from "../types.ts";

/** The documented defaults. */
export const defaultStreamLimits: StreamLimits = {
  types: 32,
  names: 50_000,
  nameLength: 1024,
  requestsPerSecond: 200,
  requestBurst: 2000,
  responseBytes: 1024 * 1024,
};

/** Token bucket over the stream's requests. */
export class RequestBudget {
  readonly #clock: Clock;
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(clock: Clock, limits: StreamLimits) {
    this.#clock = clock;
    this.#rate = limits.requestsPerSecond;
    this.#burst = limits.requestBurst;
    this.#tokens = limits.requestBurst;
    this.#at = clock.monotonic();
  }

  /** False when the client asks too fast. */
  take(): boolean {
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#rate);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
