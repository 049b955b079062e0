/** Endpoints of one locality at one priority, as far as balancing is concerned. */
export interface LocalityHealth<E> {
  /** 0 is preferred. */
  readonly priority: number;
  /** Relative to other localities of the priority; undefined or 0: by number of endpoints. */
  readonly weight?: number | undefined;
  readonly endpoints: readonly E[];
  /** How much more than its share each healthy endpoint may carry; undefined: {@link OVERPROVISIONING}. One value for all. */
  readonly overprovisioning?: number | undefined;
}

/** Endpoints that get a share of the traffic. */
export interface EndpointGroup<E> {
  /** Share of traffic; those of all groups sum to 1. */
  readonly share: number;
  readonly priority: number;
  /** So few were healthy that all are used. */
  readonly panic: boolean;
  /** Never empty. */
  readonly endpoints: readonly E[];
}

/** A priority is taken as fully able while 1/1.4 of its endpoints are healthy (Envoy's overprovisioning factor). */
export const OVERPROVISIONING = 1.4;

/**
 * Splits traffic over priorities and localities by health: a priority keeps what it can carry and hands the rest to the next;
 * when all together cannot carry 100 % and a priority is below `panicPercent`, all its endpoints are used. An empty result
 * means that no endpoint may be used (flag UH).
 * @param panicPercent 0 disables panic.
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority
 */
export function healthySet<E extends { readonly healthy: boolean }>(
  localities: readonly LocalityHealth<E>[],
  panicPercent: number,
): readonly EndpointGroup<E>[] {
  const priorities = [...new Set(localities.filter((l) => l.endpoints.length > 0).map((l) => l.priority))].sort(
    (a, b) => a - b,
  );
  const levels = priorities.map((priority) => levelOf(localities, priority));
  const capacity = Math.min(1, sum(levels.map((level) => level.health)));
  const panics = levels.map((level) => capacity < 1 && level.healthyShare * 100 < panicPercent);
  const groups: EndpointGroup<E>[] = [];
  let left = 1;
  levels.forEach((level, i) => {
    const panic = panics[i] ?? false;
    const share = capacity === 0 ? emptyShare(levels, i) : Math.min(left, level.health / capacity);
    left -= share;
    if (share > 0) groups.push(...splitLevel(level, share, panic));
  });
  return normalise(groups);
}

interface Level<E> {
  readonly priority: number;
  readonly localities: readonly LocalityHealth<E>[];
  readonly total: number;
  /** Healthy endpoints ÷ all. */
  readonly healthyShare: number;
  readonly overprovisioning: number;
  /** What it can carry, 0…1, overprovisioned. */
  readonly health: number;
}

function levelOf<E extends { readonly healthy: boolean }>(
  localities: readonly LocalityHealth<E>[],
  priority: number,
): Level<E> {
  const own = localities.filter((locality) => locality.priority === priority && locality.endpoints.length > 0);
  const total = sum(own.map((locality) => locality.endpoints.length));
  const healthyShare = sum(own.map((locality) => healthyOf(locality).length)) / total;
  const overprovisioning = own[0]?.overprovisioning ?? OVERPROVISIONING;
  const health = Math.min(1, healthyShare * overprovisioning);
  return { priority, localities: own, total, healthyShare, overprovisioning, health };
}

/** With nothing healthy anywhere, panic spreads by number of endpoints. */
function emptyShare<E>(levels: readonly Level<E>[], index: number): number {
  return (levels[index]?.total ?? 0) / sum(levels.map((level) => level.total));
}

function splitLevel<E extends { readonly healthy: boolean }>(
  level: Level<E>,
  share: number,
  panic: boolean,
): EndpointGroup<E>[] {
  const weighted = level.localities.some((locality) => (locality.weight ?? 0) > 0);
  const usable = (locality: LocalityHealth<E>) => (panic ? locality.endpoints : healthyOf(locality));
  const { priority } = level;
  if (!weighted) {
    const endpoints = level.localities.flatMap(usable);
    return endpoints.length === 0 ? [] : [{ share, priority, panic, endpoints }];
  }
  const parts = level.localities.map((locality) => {
    const endpoints = usable(locality);
    const ability = Math.min(1, (endpoints.length / locality.endpoints.length) * level.overprovisioning);
    return { endpoints, weight: (locality.weight ?? 0) * ability };
  });
  const total = sum(parts.map((part) => part.weight));
  return parts
    .filter((part) => part.weight > 0)
    .map((part) => ({ share: (share * part.weight) / total, priority, panic, endpoints: part.endpoints }));
}

/** Shares of groups that dropped out go to the others. */
function normalise<E>(groups: readonly EndpointGroup<E>[]): readonly EndpointGroup<E>[] {
  const total = sum(groups.map((group) => group.share));
  return groups.map((group) => ({ ...group, share: group.share / total }));
}

function healthyOf<E extends { readonly healthy: boolean }>(locality: LocalityHealth<E>): readonly E[] {
  return locality.endpoints.filter((endpoint) => endpoint.healthy);
}

function sum(values: readonly number[]): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
