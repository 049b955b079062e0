/** A bucket that holds `max` tokens and gets `perFill` of them in each `fillMs`, evenly. @see envoy.type.v3.TokenBucket */
export interface BucketSpec {
  readonly max: number;
  readonly perFill: number;
  readonly fillMs: number;
}

/**
 * The arithmetic of token buckets. A bucket's whole state is one number, so that many threads can share it: the moment, in whole microseconds,
 * from which on it has been filling. 0 is a bucket that was never asked; it is full.
 */
export interface TokenBucketArithmetic {
  /** The state after one token was taken; undefined: there is none. `nowUs`: whole microseconds, not before the state's. */
  take(state: number, nowUs: number): number | undefined;
  /** Whole tokens that are left. */
  left(state: number, nowUs: number): number;
  /** Whole seconds until there is one more. */
  resetSeconds(state: number, nowUs: number): number;
}

export function tokenBucket({ max, perFill, fillMs }: BucketSpec): TokenBucketArithmetic {
  /** Microseconds for one token. */
  const perToken = (fillMs * 1000) / perFill;
  /** No earlier than a whole fill ago. */
  const since = (state: number, nowUs: number) => Math.max(Math.min(state, nowUs), Math.floor(nowUs - max * perToken));
  return {
    take(state, nowUs) {
      const start = since(state, nowUs);
      // Rounding must not cost the last token.
      if (nowUs - start + 1 < perToken) return undefined;
      return Math.min(nowUs, Math.floor(start + perToken));
    },
    left: (state, nowUs) => Math.floor((nowUs - since(state, nowUs) + 1) / perToken),
    resetSeconds(state, nowUs) {
      const spare = (nowUs - since(state, nowUs)) % perToken;
      return Math.ceil((perToken - spare) / 1_000_000);
    },
  };
}
