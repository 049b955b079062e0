import type { EncodedResource } from "../types.ts";
import type { NameList } from "./name-list.ts";
import type { SharedWork } from "./shared-work.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/** Names beyond which it pays to look whether other clients ask for the same. */
const WORTH_SHARING = 64;

/**
 * Names a client asks for. Long lists, as of a proxy that asks for the endpoints of all its clusters, are those of other clients that
 * asked alike, and refer to one list. Invariant: the names are those of `#list` and of `#own`, which do not overlap.
 */
export class NameSet implements Iterable<string> {
  readonly #work: SharedWork;
  #list: NameList | undefined;
  readonly #own = new Set<string>();

  constructor(work: SharedWork) {
    this.#work = work;
  }

  get size(): number {
    return (this.#list?.size ?? 0) + this.#own.size;
  }

  has(name: string): boolean {
    return this.#own.has(name) || this.#list?.has(name) === true;
  }

  add(names: readonly string[]): void {
    if (names.length < WORTH_SHARING) {
      for (const name of names) if (!this.has(name)) this.#own.add(name);
      return;
    }
    for (const name of names) this.#own.delete(name);
    this.#list = this.#work.names.with(this.#list, names);
  }

  delete(names: readonly string[]): void {
    const listed = names.filter((name) => !this.#own.delete(name));
    if (this.#list === undefined || listed.length === 0) return;
    const rest = this.#work.names.without(this.#list, listed);
    this.#list = rest.size === 0 ? undefined : rest;
  }

  *[Symbol.iterator](): IterableIterator<string> {
    if (this.#list !== undefined) yield* this.#list;
    yield* this.#own;
  }

  /** For those who need a set: one that may change with this one. */
  toSet(): ReadonlySet<string> {
    return this.#list === undefined ? this.#own : new Set(this);
  }

  /** Whether it pays to ask for everything and use {@link NameSet.within}. */
  get sharable(): boolean {
    return this.#list !== undefined || this.#own.size >= WORTH_SHARING;
  }

  /** Names that are asked for and not in `all`. */
  outside(all: Resources): readonly string[] {
    const own = [...this.#own].filter((name) => !all.has(name));
    const listed = this.#list === undefined ? [] : this.#work.outside(all, this.#list);
    return own.length === 0 ? listed : [...listed, ...own];
  }

  /**
   * The part of everything there is (`all`) that is asked for; the very map `all` when that is everything. The identical map for all
   * clients that asked for the same names in the same way.
   */
  within(all: Resources): Resources {
    if (this.#list === undefined || this.#own.size > 0) {
      // In order, because others may have come to the same names in another one.
      this.#list = this.#work.names.with(this.#list, [...this.#own].sort());
      this.#own.clear();
    }
    return this.#work.within(all, this.#list);
  }
}
