import type { EncodedResource } from "../types.ts";
import { layersOf, type SharedWork } from "./shared-work.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/** Names beyond which it pays to look whether a client simply asks for everything there is. */
const WORTH_SHARING = 64;

/**
 * Names a client asks for. A client that asks for everything there is, as Envoy does for the endpoints of its clusters, shares the
 * list with all others that do. Invariant: the names are the keys of `#base` and those of `#own`, which do not overlap.
 */
export class NameSet implements Iterable<string> {
  #base: Resources | undefined;
  readonly #own = new Set<string>();
  /** The last answer of {@link NameSet.within} that no other client shares. */
  #part: { readonly all: Resources; readonly part: Resources } | undefined;

  get size(): number {
    return (this.#base?.size ?? 0) + this.#own.size;
  }

  has(name: string): boolean {
    return this.#own.has(name) || this.#base?.has(name) === true;
  }

  add(name: string): void {
    if (this.has(name)) return;
    this.#own.add(name);
    this.#part = undefined;
  }

  delete(name: string): void {
    this.#part = undefined;
    if (this.#base?.has(name) === true) this.#unshare();
    this.#own.delete(name);
  }

  *[Symbol.iterator](): IterableIterator<string> {
    if (this.#base !== undefined) yield* this.#base.keys();
    yield* this.#own;
  }

  /** A set of its own, for those who need one. */
  toSet(): ReadonlySet<string> {
    return this.#base === undefined ? this.#own : new Set(this);
  }

  /** Names that are asked for and not in `all`: few, when the list is shared. */
  *outside(all: Resources, work: SharedWork): Iterable<string> {
    if (this.#base !== undefined && this.#base !== all) yield* work.difference(this.#base, all).removed;
    for (const name of this.#own) if (!all.has(name)) yield name;
  }

  /** Whether it pays to ask for everything and use {@link NameSet.within}. */
  get sharable(): boolean {
    return this.#base !== undefined || this.#own.size >= WORTH_SHARING;
  }

  /**
   * The part of everything there is (`all`) that is asked for; the very map `all` when that is everything, and the identical map as
   * long as neither `all` nor the names change.
   */
  within(all: Resources, work: SharedWork): Resources {
    return this.#shared(all, work) ?? this.#unshared(all);
  }

  #shared(all: Resources, work: SharedWork): Resources | undefined {
    if (layersOf(all).length > 1) return undefined;
    const base = this.#base;
    if (base === all) return this.#disjoint(all) ? all : undefined;
    if (base === undefined) {
      if (this.#own.size < all.size) return undefined;
      for (const name of all.keys()) if (!this.#own.has(name)) return undefined;
      this.#adopt(all);
      return all;
    }
    const { added, removed } = work.difference(base, all);
    if (added.every((name) => this.#own.has(name))) {
      // What is gone is still asked for.
      for (const name of removed) this.#own.add(name);
      this.#adopt(all);
      return all;
    }
    return this.#disjoint(all) ? work.restrict(all, base) : undefined;
  }

  #unshared(all: Resources): Resources {
    if (this.#part?.all === all) return this.#part.part;
    const part = new Map<string, EncodedResource>();
    for (const name of this) {
      const resource = all.get(name);
      if (resource !== undefined) part.set(name, resource);
    }
    this.#part = { all, part };
    return part;
  }

  #adopt(all: Resources): void {
    this.#base = all;
    this.#part = undefined;
    for (const name of this.#own) if (all.has(name)) this.#own.delete(name);
  }

  #disjoint(all: Resources): boolean {
    for (const name of this.#own) if (all.has(name)) return false;
    return true;
  }

  #unshare(): void {
    for (const name of this.#base?.keys() ?? []) this.#own.add(name);
    this.#base = undefined;
  }
}
