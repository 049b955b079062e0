/** Chance as a parameter. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

/** An integer in [0, bound). */
export function randomInt(random: Random, bound: number): number {
  return Math.floor(random.next() * bound);
}

/** Repeatable xorshift128+-like generator; equal seeds give equal sequences. Not for secrets. */
export function seededRandom(seed: number): Random {
  let a = seed | 0 || 0x9e3779b9;
  return {
    next() {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    },
  };
}
