/**
 * Picks an index with probability proportional to its weight. Negative weights count as zero; when all are zero every index
 * is equally likely.
 * @param random uniform in [0, 1).
 * @returns -1 for an empty list.
 */
export function splitWeights(weights: readonly number[], random: () => number): number {
  if (weights.length < 2) return weights.length - 1;
  let total = 0;
  for (const weight of weights) if (weight > 0) total += weight;
  if (total === 0) return Math.min(weights.length - 1, Math.floor(random() * weights.length));
  let point = random() * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] ?? 0;
    if (weight <= 0) continue;
    last = i;
    point -= weight;
    if (point < 0) return i;
  }
  return last;
}
