/** Lists that are put on top of each other at most, before they are made one. */
const MAX_DEPTH = 8;
/** Names of a list beyond which it is not looked for among those that are known. */
const MAX_NAMES = 20_000;
/** Characters of one list of names, and of all that are remembered. */
const MAX_ENTRY = 1024 * 1024;
const MAX_CHARACTERS = 8 * 1024 * 1024;

/** Names that never change, so that many streams can refer to the same list: some of its own and those of the list below it. */
export class NameList implements Iterable<string> {
  readonly size: number;
  readonly depth: number;
  readonly #below: NameList | undefined;
  readonly #own: ReadonlySet<string>;

  /** @param own none of which `below` has. */
  constructor(below: NameList | undefined, own: ReadonlySet<string>) {
    this.#below = below;
    this.#own = own;
    this.size = own.size + (below?.size ?? 0);
    this.depth = 1 + (below?.depth ?? 0);
  }

  has(name: string): boolean {
    return this.#own.has(name) || this.#below?.has(name) === true;
  }

  *[Symbol.iterator](): IterableIterator<string> {
    if (this.#below !== undefined) yield* this.#below;
    yield* this.#own;
  }
}

/**
 * Makes lists, and gives the same list to all who arrive at it in the same way: proxies of one kind ask for the same names with the same
 * requests. What it remembers of that is bounded; a list that is forgotten is only shared less.
 */
export class NameLists {
  /** How a list was arrived at → the list, the least recently used first. */
  readonly #known = new Map<string, NameList>();
  readonly #ids = new WeakMap<NameList, number>();
  #lastId = 0;
  #characters = 0;

  /** Characters of the keys that are remembered. */
  get characters(): number {
    return this.#characters;
  }

  /** `base` and these names as well. */
  with(base: NameList | undefined, names: readonly string[]): NameList {
    return this.#find("+", base, names, () => {
      const added = new Set<string>();
      for (const name of names) if (base?.has(name) !== true) added.add(name);
      if (base === undefined) return new NameList(undefined, added);
      if (added.size === 0) return base;
      return base.depth < MAX_DEPTH ? new NameList(base, added) : new NameList(undefined, new Set([...base, ...added]));
    });
  }

  /** `base` without these names. */
  without(base: NameList, names: readonly string[]): NameList {
    return this.#find("-", base, names, () => {
      const removed = new Set(names);
      const rest = new Set<string>();
      for (const name of base) if (!removed.has(name)) rest.add(name);
      return rest.size === base.size ? base : new NameList(undefined, rest);
    });
  }

  #find(step: "+" | "-", base: NameList | undefined, names: readonly string[], make: () => NameList): NameList {
    if (names.length > MAX_NAMES) return make();
    const key = `${step}${base === undefined ? 0 : this.#idOf(base)}\n${names.join("\n")}`;
    if (key.length > MAX_ENTRY) return make();
    const known = this.#known.get(key);
    if (known !== undefined) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return known;
    }
    const list = make();
    this.#known.set(key, list);
    this.#characters += key.length;
    for (const oldest of this.#known.keys()) {
      if (this.#characters <= MAX_CHARACTERS) break;
      this.#known.delete(oldest);
      this.#characters -= oldest.length;
    }
    return list;
  }

  #idOf(list: NameList): number {
    const known = this.#ids.get(list);
    if (known !== undefined) return known;
    this.#ids.set(list, ++this.#lastId);
    return this.#lastId;
  }
}
