/**
 * One map made of several without common names, each of which may be part of other maps as well. Whoever compares two of them compares
 * the parts, and looks only into those that differ. Of layered maps the parts are taken, so parts are plain.
 */
export class LayeredMap<V> implements ReadonlyMap<string, V> {
  readonly layers: readonly ReadonlyMap<string, V>[];
  readonly size: number;

  constructor(layers: readonly ReadonlyMap<string, V>[]) {
    this.layers = layers.flatMap(layersOf);
    this.size = this.layers.reduce((sum, layer) => sum + layer.size, 0);
  }

  get(name: string): V | undefined {
    for (const layer of this.layers) {
      const value = layer.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  *entries(): MapIterator<[string, V]> {
    for (const layer of this.layers) yield* layer;
  }

  *keys(): MapIterator<string> {
    for (const layer of this.layers) yield* layer.keys();
  }

  *values(): MapIterator<V> {
    for (const layer of this.layers) yield* layer.values();
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }

  forEach(callback: (value: V, name: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [name, value] of this) callback(value, name, this);
  }
}

/** The maps that make up a map: itself unless it is layered. */
export function layersOf<V>(map: ReadonlyMap<string, V>): readonly ReadonlyMap<string, V>[] {
  return map instanceof LayeredMap ? map.layers : [map];
}
