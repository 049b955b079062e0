import { keyOf, type Origin, parseResourceKey, type Resource, type ResourceKey } from "@lateen/mesh-model";
import type { AcceptedObject, RegistryDelta, StateDelta } from "@lateen/ports";

/** What became different, as the compiler takes it. */
export interface WorldChange {
  readonly upserted: readonly Resource[];
  readonly removed: readonly ResourceKey[];
}

/**
 * Everything that configuration and registry say right now, and which keys changed since the last {@link World.take}. Deltas only
 * mark keys, so however many arrive between two takes, what waits is bounded by the number of objects. An object that both name is
 * the registry's: it says what runs.
 */
export class World {
  readonly #config = new Map<ResourceKey, Resource>();
  readonly #registry = new Map<ResourceKey, Resource>();
  readonly #changed = new Set<ResourceKey>();
  #configRevision: number | undefined;
  readonly #origins = new Map<string, Origin>();
  #registrySeen = false;
  #registryVersion: string | undefined;

  /** Revision of the configuration; undefined before its first snapshot. */
  get configRevision(): number | undefined {
    return this.#configRevision;
  }

  /** What the registry calls its state; undefined where it does not number them. */
  get registryVersion(): string | undefined {
    return this.#registryVersion;
  }

  /** Both first snapshots are in. */
  get complete(): boolean {
    return this.#configRevision !== undefined && this.#registrySeen;
  }

  /** What is not there yet, for people. */
  get missing(): readonly string[] {
    return [
      ...(this.#configRevision === undefined ? ["configuration"] : []),
      ...(this.#registrySeen ? [] : ["service registry"]),
    ];
  }

  /** Keys that changed since the last take. */
  get waiting(): number {
    return this.#changed.size;
  }

  get(key: ResourceKey): Resource | undefined {
    return this.#registry.get(key) ?? this.#config.get(key);
  }

  *objects(): Iterable<Resource> {
    yield* this.#registry.values();
    for (const [key, object] of this.#config) if (!this.#registry.has(key)) yield object;
  }

  /** Where a configured object is written. */
  originOf(key: string): Origin | undefined {
    return this.#origins.get(key);
  }

  takeConfig(delta: StateDelta<AcceptedObject>): void {
    if (delta.snapshot) this.#origins.clear();
    for (const key of delta.removed) this.#origins.delete(key);
    for (const { value } of delta.upserted) this.#origins.set(keyOf(value.object), value.origin);
    const upserted = delta.upserted.map(({ value }) => value.object);
    this.#merge(this.#config, { snapshot: delta.snapshot, upserted, removed: delta.removed });
    this.#configRevision = delta.revision;
  }

  takeRegistry(delta: RegistryDelta): void {
    this.#merge(this.#registry, delta);
    this.#registrySeen = true;
    this.#registryVersion = delta.version;
  }

  /** The changes since the last call, each key once, with its value of now. */
  take(): WorldChange {
    const upserted: Resource[] = [];
    const removed: ResourceKey[] = [];
    for (const key of this.#changed) {
      const object = this.get(key);
      if (object === undefined) removed.push(key);
      else upserted.push(object);
    }
    this.#changed.clear();
    return { upserted, removed };
  }

  #merge(
    layer: Map<ResourceKey, Resource>,
    delta: { readonly snapshot: boolean; readonly upserted: readonly Resource[]; readonly removed: readonly string[] },
  ): void {
    const gone = new Set<string>(delta.snapshot ? layer.keys() : delta.removed);
    for (const object of delta.upserted) {
      const key = keyOf(object);
      gone.delete(key);
      if (layer.get(key) === object) continue;
      layer.set(key, object);
      this.#changed.add(key);
    }
    for (const key of gone) {
      if (parseResourceKey(key) === undefined) continue;
      // A key that parses is one, whoever sent it as text.
      if (layer.delete(key as ResourceKey)) this.#changed.add(key as ResourceKey);
    }
  }
}
