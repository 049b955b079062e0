import { type Clock, type Logger, type Random, type Scope, silentLogger, systemClock } from "@lateen/kernel";
import type { KubernetesApi } from "../client/api.ts";
import type { Changes } from "./held.ts";
import { DEFAULT_TUNING, type WatchTuning } from "./pauses.ts";
import { Reflector, type Watched } from "./reflector.ts";

/** What every watching adapter takes. */
export interface FollowOptions {
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly tuning?: Partial<WatchTuning>;
}

/** A difference over all collections that are followed. */
export interface Delta<T> {
  /** True on the first delivery, which has everything. */
  readonly snapshot: boolean;
  readonly changes: Changes<T>;
}

/**
 * Follows several collections as one until the scope closes. The first delivery comes when all of them have been listed, so that nobody
 * sees half of them.
 * @returns when it was delivered, or the scope closed.
 */
export async function follow<T>(
  api: KubernetesApi,
  collections: readonly Watched<T>[],
  options: FollowOptions & { readonly scope: Scope },
  receive: (delta: Delta<T>) => void,
): Promise<void> {
  const { scope, logger = silentLogger, clock = systemClock(), random = { next: Math.random } } = options;
  const deps = { api, clock, random, logger, tuning: { ...DEFAULT_TUNING, ...options.tuning }, signal: scope.signal };
  const first = Promise.withResolvers<void>();
  const gathered: Changes<T> = new Map();
  let missing = collections.length;
  const take = (changes: Changes<T>, isFirst: boolean) => {
    if (scope.closed) return;
    if (missing === 0) {
      receive({ snapshot: false, changes });
      return;
    }
    for (const [key, value] of changes) {
      if (value === undefined) gathered.delete(key);
      else gathered.set(key, value);
    }
    if (!isFirst || --missing > 0) return;
    const snapshot = new Map(gathered);
    gathered.clear();
    try {
      receive({ snapshot: true, changes: snapshot });
    } finally {
      first.resolve();
    }
  };
  const running = collections.map((watched) => new Reflector(watched, deps, take).run());
  scope.defer(async () => {
    first.resolve();
    await Promise.all(running);
  });
  if (missing > 0) await first.promise;
}
