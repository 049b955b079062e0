import { layersOf } from "@lateen/kernel";
import type { EncodedResource } from "../types.ts";
import type { MapDifference, SharedWork } from "./shared-work.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/** What the client holds under a name. */
export type Held =
  | { readonly kind: "resource"; readonly resource: EncodedResource }
  /** Claimed by the client when it connected: version known, bytes not. */
  | { readonly kind: "claimed"; readonly version: string }
  /** The client was told that there is none. */
  | { readonly kind: "absent" }
  /** The client asked again or let go: it must be told, whatever it holds. */
  | { readonly kind: "owed" };

/** In `#own`: nothing is held under the name although the layers have it. */
const NOTHING = { kind: "nothing" } as const;

/**
 * What a client holds. Streams that were given the same maps share them, and keep only what is different: with many streams, memory
 * follows the number of resources and not its product with the number of streams.
 * Invariant: the client holds `#layers` entirely, except where `#own` says otherwise.
 */
export class Holdings {
  #layers: readonly Resources[] = [];
  readonly #own = new Map<string, Held | typeof NOTHING>();
  #claimed = false;

  get(name: string): Held | undefined {
    const own = this.#own.get(name);
    if (own !== undefined) return own === NOTHING ? undefined : (own as Held);
    const resource = this.#shared(name);
    return resource === undefined ? undefined : { kind: "resource", resource };
  }

  has(name: string): boolean {
    const own = this.#own.get(name);
    return own === undefined ? this.#shared(name) !== undefined : own !== NOTHING;
  }

  set(name: string, held: Held): void {
    this.#own.set(name, held);
  }

  delete(name: string): void {
    if (this.#shared(name) === undefined) this.#own.delete(name);
    else this.#own.set(name, NOTHING);
  }

  /** Nothing is held under any name. */
  get empty(): boolean {
    return this.#layers.length === 0 && this.#own.size === 0;
  }

  /** Every name under which something is held, including what it was told is absent. */
  *keys(): IterableIterator<string> {
    for (const layer of this.#layers) for (const name of layer.keys()) if (!this.#own.has(name)) yield name;
    for (const [name, held] of this.#own) if (held !== NOTHING) yield name;
  }

  /** The client brought resources of an earlier stream. */
  get hasClaims(): boolean {
    return this.#claimed;
  }

  /** Resources the client was told of. */
  get resources(): number {
    let count = 0;
    for (const layer of this.#layers) count += layer.size;
    for (const [name, { kind }] of this.#own) {
      const counted = kind === "resource" || kind === "claimed";
      if (this.#shared(name) === undefined ? counted : !counted) count += counted ? 1 : -1;
    }
    return count;
  }

  get size(): number {
    let count = 0;
    for (const _name of this.keys()) count++;
    return count;
  }

  /**
   * What turns what is held into `desired`, layer by layer and as other streams have it too; undefined when this client holds anything
   * that others do not.
   */
  shared(desired: Resources, work: SharedWork): readonly MapDifference[] | undefined {
    if (this.#own.size > 0) return undefined;
    const layers = layersOf(desired);
    const found: MapDifference[] = [];
    for (let at = 0; at < Math.max(layers.length, this.#layers.length); at++) {
      const before = this.#layers[at] ?? EMPTY;
      const after = layers[at] ?? EMPTY;
      if (before !== after) found.push(work.difference(before, after));
    }
    // A name that moves from one layer to another is neither gone nor new.
    return found.length > 1 && found.some(({ removed }) => removed.length > 0) ? undefined : found;
  }

  /** Names whose state has to be looked at to turn what is held into `desired`; all others are held as desired. */
  differing(desired: Resources, work: SharedWork): ReadonlySet<string> {
    const layers = layersOf(desired);
    const names = new Set(this.#own.keys());
    for (let at = 0; at < Math.max(layers.length, this.#layers.length); at++) {
      const before = this.#layers[at] ?? EMPTY;
      const after = layers[at] ?? EMPTY;
      if (before === after) continue;
      const { upserted, removed } = work.difference(before, after);
      for (const { name } of upserted) names.add(name);
      for (const name of removed) names.add(name);
    }
    return names;
  }

  /** The client now holds `desired`, except for the names of `exceptions`, which stay as they are. */
  settle(desired: Resources, exceptions: Iterable<string>): void {
    const kept = new Map<string, Held>();
    for (const name of exceptions) {
      const held = this.get(name);
      if (held !== undefined) kept.set(name, held);
    }
    for (const [name, held] of this.#own) {
      if (held.kind === "absent" && !desired.has(name)) kept.set(name, held);
    }
    this.#own.clear();
    for (const [name, held] of kept) this.#own.set(name, held);
    this.#layers = layersOf(desired);
  }

  /**
   * The client says that it holds these versions. Where that is most of what it should have, what it holds is described by how it differs.
   */
  claim(versions: ReadonlyMap<string, string>, desired: Resources | undefined): void {
    const compare = desired !== undefined && this.#layers.length === 0 && versions.size * 2 >= desired.size;
    for (const [name, version] of versions) {
      if (!compare || desired.get(name)?.version !== version) this.#own.set(name, { kind: "claimed", version });
    }
    if (versions.size > 0) this.#claimed = true;
    if (!compare) return;
    for (const name of desired.keys()) if (!versions.has(name)) this.#own.set(name, NOTHING);
    this.#layers = layersOf(desired);
  }

  #shared(name: string): EncodedResource | undefined {
    for (const layer of this.#layers) {
      const resource = layer.get(name);
      if (resource !== undefined) return resource;
    }
    return undefined;
  }
}

const EMPTY: Resources = new Map();
