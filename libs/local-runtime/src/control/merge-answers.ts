/** Answers of the replicas of pilot to one question, as if one pilot had all proxies. */

/** `/debug/syncz`: all proxies; a version only where all have pushed the same. */
export function mergeSyncz(answers: readonly unknown[]): unknown {
  const all = answers.map(record);
  const versions = new Set(all.map(({ registryVersion }) => registryVersion));
  return {
    ...all[0],
    revision: Math.min(...all.map(({ revision }) => Number(revision))),
    registryVersion: versions.size === 1 ? all[0]?.registryVersion : undefined,
    ready: all.every(({ ready }) => ready === true),
    proxies: all.flatMap(({ proxies }) => list(proxies)),
    typeStreams: all.flatMap(({ typeStreams }) => list(typeStreams)),
    warnings: distinct(all.flatMap(({ warnings }) => list(warnings))),
  };
}

/** `/debug/wait`: synced when the proxies of all are. */
export function mergeWaits(answers: readonly unknown[]): unknown {
  const all = answers.map(record);
  return {
    revision: Math.min(...all.map(({ revision }) => Number(revision))),
    synced: all.every(({ synced }) => synced === true),
    laggards: all.flatMap(({ laggards }) => list(laggards)),
  };
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function distinct(values: readonly unknown[]): readonly unknown[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
