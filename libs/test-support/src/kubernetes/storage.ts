/** JSON as the API carries it. */
export type Json = Readonly<Record<string, unknown>>;

/** An object with what every object has. */
export interface StoredObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/** One change, as watches tell it. */
export interface StoredEvent {
  readonly version: number;
  readonly resource: string;
  /** undefined: it was created. */
  readonly before: StoredObject | undefined;
  /** undefined: it was deleted; `before` then carries the version of the deletion. */
  readonly after: StoredObject | undefined;
}

/** The state of the API server: objects, one growing version over all of them, and the changes since the last compaction. */
export class Storage {
  readonly #objects = new Map<string, Map<string, StoredObject>>();
  readonly #history: StoredEvent[] = [];
  readonly #watchers = new Set<(event: StoredEvent) => void>();
  #version = 1;
  #compacted = 0;

  get version(): number {
    return this.#version;
  }

  /** Watches and pages from before this version are too old. */
  get compacted(): number {
    return this.#compacted;
  }

  /** Sorted as etcd has them. */
  list(resource: string): readonly StoredObject[] {
    const all = [...(this.#objects.get(resource) ?? [])];
    return all.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
  }

  get(resource: string, name: string): StoredObject | undefined {
    return this.#objects.get(resource)?.get(name);
  }

  /** @param make gets the version of the change. */
  put(resource: string, name: string, make: (version: string) => StoredObject): StoredObject {
    const version = ++this.#version;
    const before = this.get(resource, name);
    const after = make(String(version));
    const objects = this.#objects.get(resource) ?? new Map<string, StoredObject>();
    this.#objects.set(resource, objects.set(name, after));
    this.#tell({ version, resource, before, after });
    return after;
  }

  remove(resource: string, name: string): StoredObject | undefined {
    const before = this.get(resource, name);
    if (before === undefined) return undefined;
    const version = ++this.#version;
    this.#objects.get(resource)?.delete(name);
    const last = { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } };
    this.#tell({ version, resource, before: last, after: undefined });
    return last;
  }

  /** Forgets a resource and its objects without telling anybody, as when its CRD is removed. */
  drop(resource: string): void {
    this.#objects.delete(resource);
  }

  /** Changes after a version, oldest first. */
  since(version: number, resource: string): readonly StoredEvent[] {
    return this.#history.filter((event) => event.resource === resource && event.version > version);
  }

  /** Forgets all changes until now. */
  compact(): void {
    this.#compacted = ++this.#version;
    this.#history.length = 0;
  }

  watch(receive: (event: StoredEvent) => void): () => void {
    this.#watchers.add(receive);
    return () => void this.#watchers.delete(receive);
  }

  #tell(event: StoredEvent): void {
    this.#history.push(event);
    for (const watcher of this.#watchers) watcher(event);
  }
}
