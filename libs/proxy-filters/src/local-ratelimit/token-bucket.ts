import type { SharedCell } from "@lateen/proxy";
import type { BucketSpec } from "./config.ts";

/**
 * A bucket of tokens that fills evenly and is shared by all workers. Its state is one number: the moment, in microseconds, from which
 * on it has been filling, never more than a whole fill ago. A bucket that was never asked (0) is full.
 */
export class TokenBucket {
  readonly spec: BucketSpec;
  readonly #cell: SharedCell;
  readonly #wallNow: () => number;
  /** Microseconds for one token. */
  readonly #perToken: number;

  constructor(spec: BucketSpec, cell: SharedCell, wallNow: () => number) {
    this.spec = spec;
    this.#cell = cell;
    this.#wallNow = wallNow;
    this.#perToken = (spec.fillMs * 1000) / spec.perFill;
  }

  /** Takes one token; false: there is none. */
  take(): boolean {
    for (;;) {
      const seen = this.#cell.load();
      const now = Math.floor(this.#wallNow() * 1000);
      // A clock that was set back must not close the bucket for as long.
      if (seen > now) {
        this.#cell.exchange(seen, now);
        continue;
      }
      const since = this.#since(seen, now);
      // Rounding must not cost the last token.
      if (now - since + 1 < this.#perToken) return false;
      const next = Math.min(now, Math.floor(since + this.#perToken));
      if (this.#cell.exchange(seen, next) === seen) return true;
    }
  }

  /** Whole tokens that are left. */
  get left(): number {
    const now = Math.floor(this.#wallNow() * 1000);
    return Math.floor((now - this.#since(this.#cell.load(), now) + 1) / this.#perToken);
  }

  /** Whole seconds until there is one more. */
  get resetSeconds(): number {
    const now = Math.floor(this.#wallNow() * 1000);
    const spare = (now - this.#since(this.#cell.load(), now)) % this.#perToken;
    return Math.ceil((this.#perToken - spare) / 1_000_000);
  }

  /** No earlier than a whole fill ago. */
  #since(seen: number, now: number): number {
    return Math.max(Math.min(seen, now), Math.floor(now - this.spec.max * this.#perToken));
  }
}
