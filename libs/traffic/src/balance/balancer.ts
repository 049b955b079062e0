import { splitWeights } from "./weights.ts";

export type BalancerKind = "roundRobin" | "leastRequest" | "random";

export interface BalancerOptions {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Requests under way at an endpoint; asked by `leastRequest` only. */
  readonly inFlight: (index: number) => number;
  /** Endpoints compared by `leastRequest`; default 2. */
  readonly choices?: number;
}

export interface Balancer {
  /** Index of the endpoint to use; -1 when there is none. */
  pick(): number;
}

/**
 * Chooses among a fixed list of endpoints; make a new one when the list changes. Weights of zero or less are never chosen
 * unless all are so.
 *
 * - `roundRobin`: smooth weighted (no bursts to a heavy endpoint), starting at a random place so that many proxies spread.
 * - `leastRequest`: the least busy of `choices` picked by weight.
 * - `random`: by weight.
 */
export function createBalancer(
  kind: BalancerKind,
  endpoints: readonly { readonly weight: number }[],
  options: BalancerOptions,
): Balancer {
  const weights = endpoints.map((endpoint) => Math.max(0, endpoint.weight));
  const equal = weights.every((weight) => weight === weights[0]);
  const draw = equal
    ? () => Math.min(weights.length - 1, Math.floor(options.random() * weights.length))
    : () => splitWeights(weights, options.random);
  if (endpoints.length === 0) return { pick: () => -1 };
  switch (kind) {
    case "random":
      return { pick: draw };
    case "leastRequest":
      return { pick: () => leastBusy(draw, options, weights.length) };
    case "roundRobin":
      return equal ? plainRoundRobin(weights.length, options.random) : smoothRoundRobin(weights, options.random);
  }
}

function leastBusy(draw: () => number, options: BalancerOptions, count: number): number {
  let best = draw();
  if (count === 1) return best;
  for (let i = Math.max(2, options.choices ?? 2); i > 1; i--) {
    let candidate = draw();
    // Two equal candidates compare nothing; the neighbour makes it a real choice.
    if (candidate === best && count === 2 && options.inFlight(1 - best) < options.inFlight(best)) candidate = 1 - best;
    if (options.inFlight(candidate) < options.inFlight(best)) best = candidate;
  }
  return best;
}

function plainRoundRobin(count: number, random: () => number): Balancer {
  let next = Math.floor(random() * count) % count;
  return {
    pick() {
      const picked = next;
      next = next + 1 === count ? 0 : next + 1;
      return picked;
    },
  };
}

/** Each turn everyone gains its weight, the richest is chosen and pays the total (as nginx does). */
function smoothRoundRobin(weights: readonly number[], random: () => number): Balancer {
  let total = 0;
  for (const weight of weights) total += weight;
  const credit = Float64Array.from(weights, (weight) => random() * weight);
  return {
    pick() {
      let best = -1;
      for (let i = 0; i < weights.length; i++) {
        const weight = weights[i] ?? 0;
        if (weight === 0) continue;
        credit[i] = (credit[i] ?? 0) + weight;
        if (best < 0 || (credit[i] ?? 0) > (credit[best] ?? 0)) best = i;
      }
      credit[best] = (credit[best] ?? 0) - total;
      return best;
    },
  };
}
