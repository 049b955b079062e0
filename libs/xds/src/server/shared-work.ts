import { LayeredMap, layersOf } from "@lateen/kernel";
import type { Resource } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import type { EncodedResource } from "../types.ts";
import { type NameList, NameLists } from "./name-list.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/** What turns one map into another. */
export interface MapDifference {
  /** New or with another version. */
  readonly upserted: readonly EncodedResource[];
  readonly removed: readonly string[];
}

/** A list of resources in pieces of limited size. */
export interface Parts {
  /** Of the whole list, about as on the wire. */
  readonly bytes: number;
  readonly parts: readonly (readonly EncodedResource[])[];
}

/**
 * What many streams need alike: they hold and want the very same maps, so each pair is compared once for all of them, cut into responses
 * once, and put into the protocol's words once. Holds results only as long as what they were made of lives.
 */
export class SharedWork {
  /** The lists of names that clients ask for. */
  readonly names = new NameLists();
  readonly #differences = new WeakMap<Resources, WeakMap<Resources, MapDifference>>();
  readonly #within = new WeakMap<Resources, WeakMap<NameList, Resources>>();
  /** What a list names and a map did not have, when that was last asked. */
  readonly #outside = new WeakMap<NameList, { readonly all: Resources; readonly names: readonly string[] }>();
  readonly #parts = new WeakMap<readonly EncodedResource[], Parts & { readonly limit: number }>();
  readonly #messages = new WeakMap<readonly EncodedResource[], Resource[]>();
  /** By the first resource of a list. What nobody sends any more is collected. */
  readonly #beginningWith = new WeakMap<EncodedResource, WeakRef<Resource[]>[]>();
  readonly #message = new WeakMap<EncodedResource, Resource>();
  #looks = 0;

  /** From `before` to `after`. Neither may be changed afterwards. */
  difference(before: Resources, after: Resources): MapDifference {
    return remembered(this.#differences, before, after, (old, next) => {
      this.#looks += old.size + next.size;
      return compareMaps(old, next);
    });
  }

  /** Names that were looked at so far, for tests: work of a change must not grow with all that there is. */
  get looks(): number {
    return this.#looks;
  }

  #looked<T>(value: T): T {
    this.#looks++;
    return value;
  }

  /** The part of `all` that `names` names; `all` itself when that is all of it. Looks only into layers that it has not seen. */
  within(all: Resources, names: NameList): Resources {
    return remembered(this.#within, all, names, () => {
      const layers = layersOf(all);
      if (layers.length > 1) {
        const parts = layers.map((layer) => this.within(layer, names));
        return parts.every((part, at) => part === layers[at]) ? all : new LayeredMap(parts);
      }
      const part = new Map<string, EncodedResource>();
      for (const [name, resource] of all) if (this.#looked(names.has(name))) part.set(name, resource);
      return part.size === all.size ? all : part;
    });
  }

  /** What `names` names and `all` does not have. Where that was asked of a map with the same layers, only the others are looked into. */
  outside(all: Resources, names: NameList): readonly string[] {
    const last = this.#outside.get(names);
    if (last?.all === all) return last.names;
    const candidates = last === undefined ? names : new Set([...last.names, ...this.#gone(last.all, all, names)]);
    const found = [...candidates].filter((name) => this.#looked(!all.has(name)));
    this.#outside.set(names, { all, names: found });
    return found;
  }

  /** Of `names`, what layers of `before` had and `after` has in other layers or not at all. */
  *#gone(before: Resources, after: Resources, names: NameList): Iterable<string> {
    const layers = layersOf(after);
    for (const [at, layer] of layersOf(before).entries()) {
      const next = layers[at] ?? NO_RESOURCES;
      if (next === layer) continue;
      for (const name of this.difference(layer, next).removed) if (names.has(name)) yield name;
    }
  }

  /** Pieces of a list of at most `limit` bytes; a resource that is larger is a piece of its own. The list may not be changed afterwards. */
  parts(list: readonly EncodedResource[], limit: number): Parts {
    const known = this.#parts.get(list);
    if (known?.limit === limit) return known;
    const made = { limit, ...cut(list, limit) };
    this.#parts.set(list, made);
    return made;
  }

  /**
   * The resources of a delta response: the identical array for lists of the same resources, however they came about, and the identical
   * message in all lists.
   */
  messages(list: readonly EncodedResource[]): Resource[] {
    const known = this.#messages.get(list);
    if (known !== undefined) return known;
    const messages = this.#interned(
      list.map((resource) => this.#messageOf(resource)),
      list[0],
    );
    this.#messages.set(list, messages);
    return messages;
  }

  #interned(messages: Resource[], first: EncodedResource | undefined): Resource[] {
    if (first === undefined) return messages;
    const alike: WeakRef<Resource[]>[] = [];
    for (const reference of this.#beginningWith.get(first) ?? []) {
      const known = reference.deref();
      if (known === undefined) continue;
      if (known.length === messages.length && known.every((message, at) => message === messages[at])) return known;
      alike.push(reference);
    }
    this.#beginningWith.set(first, [new WeakRef(messages), ...alike.slice(0, MAX_ALIKE - 1)]);
    return messages;
  }

  #messageOf(resource: EncodedResource): Resource {
    let message = this.#message.get(resource);
    if (message === undefined) {
      const { name, version, any } = resource;
      message = { name, version, resource: any, aliases: [] };
      this.#message.set(resource, message);
    }
    return message;
  }
}

const NO_RESOURCES: Resources = new Map();
/** Lists with the same first resource that are remembered. */
const MAX_ALIKE = 4;
/** Bytes around the content of a resource, about. */
const AROUND = 64;

function cut(list: readonly EncodedResource[], limit: number): Parts {
  const parts: (readonly EncodedResource[])[] = [];
  let bytes = 0;
  let size = 0;
  let from = 0;
  for (const [at, { name, any }] of list.entries()) {
    const more = any.value.length + name.length + AROUND;
    if (at > from && size + more > limit) {
      parts.push(list.slice(from, at));
      from = at;
      size = 0;
    }
    size += more;
    bytes += more;
  }
  if (from === 0) parts.push(list);
  else parts.push(list.slice(from));
  return { bytes, parts: list.length === 0 ? [] : parts };
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
  let added = 0;
  for (const [name, resource] of after) {
    const old = before.get(name);
    if (old === undefined) added++;
    if (old !== resource && old?.version !== resource.version) upserted.push(resource);
  }
  const removed: string[] = [];
  // Without additions and of equal size, nothing can be missing.
  if (added > 0 || before.size !== after.size) {
    for (const name of before.keys()) if (!after.has(name)) removed.push(name);
  }
  return { upserted, removed };
}
