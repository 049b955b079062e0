/** Answers of the replicas of pilot to one question, as if one pilot had all proxies. */

/** What one replica said. */
export interface NamedAnswer {
  readonly name: string;
  readonly answer: unknown;
}

/** `/debug/syncz`: all proxies, each with its `pilot`; the oldest version of the registry that one has, none where one has none. */
export function mergeSyncz(answers: readonly NamedAnswer[]): unknown {
  const all = answers.map(({ answer }) => record(answer));
  const proxiesOf = (field: "proxies" | "typeStreams") =>
    answers.flatMap(({ name, answer }) =>
      list(record(answer)[field]).map((proxy) => ({ ...record(proxy), pilot: name })),
    );
  const oldest = Math.min(...all.map(({ registryVersion }) => Number(registryVersion)));
  return {
    ...all[0],
    revision: Math.min(...all.map(({ revision }) => Number(revision))),
    registryVersion: Number.isFinite(oldest) ? String(oldest) : undefined,
    ready: all.every(({ ready }) => ready === true),
    proxies: proxiesOf("proxies"),
    typeStreams: proxiesOf("typeStreams"),
    warnings: distinct(all.flatMap(({ warnings }) => list(warnings))),
  };
}

/** `/debug/wait`: synced when the proxies of all are. */
export function mergeWaits(answers: readonly NamedAnswer[]): unknown {
  const all = answers.map(({ answer }) => record(answer));
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
