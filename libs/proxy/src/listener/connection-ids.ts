/** Ids of this many connections follow each other before they could meet those of another proxy. */
const STRIDE = 2 ** 20;
const STARTS = 2 ** 32;

/**
 * Ids for the connections of one worker, as CONNECTION_ID has them: whole numbers that go up. They start at a random place, so that
 * two proxies of a mesh hardly have the same.
 * @param random uniform in [0, 1).
 */
export function connectionIds(random: () => number): () => number {
  let last = Math.floor(random() * STARTS) * STRIDE;
  return () => ++last;
}
