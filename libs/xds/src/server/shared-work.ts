import type { EncodedResource } from "../types.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/** What turns one map into another. */
export interface MapDifference {
  /** New or with another version. */
  readonly upserted: readonly EncodedResource[];
  /** Names that the earlier map did not have; a part of `upserted`. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/**
 * Comparisons that many streams need alike: they hold and want the very same maps, so each pair is compared once for all of them.
 * Holds results only as long as the maps live.
 */
export class SharedWork {
  readonly #differences = new WeakMap<Resources, WeakMap<Resources, MapDifference>>();
  readonly #restricted = new WeakMap<Resources, WeakMap<Resources, Resources>>();

  /** From `before` to `after`. Neither may be changed afterwards. */
  difference(before: Resources, after: Resources): MapDifference {
    return remembered(this.#differences, before, after, compareMaps);
  }

  /** The part of `all` whose names `names` has as well. */
  restrict(all: Resources, names: Resources): Resources {
    return remembered(this.#restricted, all, names, () => {
      const part = new Map<string, EncodedResource>();
      for (const [name, resource] of all) if (names.has(name)) part.set(name, resource);
      return part;
    });
  }
}

function remembered<A extends object, B extends object, V>(
  memory: WeakMap<A, WeakMap<B, V>>,
  first: A,
  second: B,
  compute: (first: A, second: B) => V,
): V {
  let inner = memory.get(first);
  if (inner === undefined) {
    inner = new WeakMap();
    memory.set(first, inner);
  }
  let value = inner.get(second);
  if (value === undefined) {
    value = compute(first, second);
    inner.set(second, value);
  }
  return value;
}

function compareMaps(before: Resources, after: Resources): MapDifference {
  const upserted: EncodedResource[] = [];
  const added: string[] = [];
  for (const [name, resource] of after) {
    const old = before.get(name);
    if (old === undefined) added.push(name);
    if (old !== resource && old?.version !== resource.version) upserted.push(resource);
  }
  const removed: string[] = [];
  // Without additions and of equal size, nothing can be missing.
  if (added.length > 0 || before.size !== after.size) {
    for (const name of before.keys()) if (!after.has(name)) removed.push(name);
  }
  return { upserted, added, removed };
}

/** The maps that make up a map; itself unless it says otherwise. */
export function layersOf(map: Resources): readonly Resources[] {
  return (map as { readonly layers?: readonly Resources[] }).layers ?? [map];
}
