import type { SharedCell } from "@lateen/proxy";
import { type BucketSpec, type TokenBucketArithmetic, tokenBucket } from "@lateen/traffic";

/** A bucket of tokens that fills evenly and is shared by all workers: its state is one shared number. */
export class TokenBucket {
  readonly spec: BucketSpec;
  readonly #cell: SharedCell;
  readonly #wallNow: () => number;
  readonly #bucket: TokenBucketArithmetic;

  constructor(spec: BucketSpec, cell: SharedCell, wallNow: () => number) {
    this.spec = spec;
    this.#cell = cell;
    this.#wallNow = wallNow;
    this.#bucket = tokenBucket(spec);
  }

  /** Takes one token; false: there is none. */
  take(): boolean {
    for (;;) {
      const seen = this.#cell.load();
      const now = this.#nowUs;
      // A clock that was set back must not close the bucket for as long.
      if (seen > now) {
        this.#cell.exchange(seen, now);
        continue;
      }
      const next = this.#bucket.take(seen, now);
      if (next === undefined) return false;
      if (this.#cell.exchange(seen, next) === seen) return true;
    }
  }

  /** Whole tokens that are left. */
  get left(): number {
    return this.#bucket.left(this.#cell.load(), this.#nowUs);
  }

  /** Whole seconds until there is one more. */
  get resetSeconds(): number {
    return this.#bucket.resetSeconds(this.#cell.load(), this.#nowUs);
  }

  get #nowUs(): number {
    return Math.floor(this.#wallNow() * 1000);
  }
}
