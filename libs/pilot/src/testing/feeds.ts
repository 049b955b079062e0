import type { Scope } from "@lateen/kernel";
import { keyOf, type Resource } from "@lateen/mesh-model";
import {
  type AcceptedObject,
  type Bus,
  CONFIG_TOPIC,
  type RegistryDelta,
  type RegistryObject,
  type ServiceRegistry,
  type StateDelta,
  type StateTopic,
} from "@lateen/ports";

type Receive<T> = (delta: T) => void;

/** Galley's end of the bus; delivers at once. */
export class ConfigFeed {
  readonly #receivers = new Set<Receive<StateDelta<AcceptedObject>>>();
  #last: StateDelta<AcceptedObject> | undefined;
  readonly bus: Bus;

  constructor() {
    const topic: StateTopic<AcceptedObject> = {
      publish: () => Promise.reject(new Error("tests publish through the feed")),
      watch: (scope, receive) => this.#watch(scope, receive),
    };
    this.bus = {
      state: <T>(name: string) => {
        if (name !== CONFIG_TOPIC) throw new Error(`no topic ${name}`);
        return topic as unknown as StateTopic<T>;
      },
      events: () => {
        throw new Error("no event topics");
      },
    };
  }

  /** The first publication. */
  snapshot(revision: number, ...objects: readonly Resource[]): void {
    this.#deliver({ snapshot: true, revision, upserted: entries(revision, objects), removed: [] });
  }

  upsert(revision: number, ...objects: readonly Resource[]): void {
    this.#deliver({ snapshot: false, revision, upserted: entries(revision, objects), removed: [] });
  }

  remove(revision: number, ...keys: readonly string[]): void {
    this.#deliver({ snapshot: false, revision, upserted: [], removed: keys });
  }

  /** Nothing is delivered any more. */
  disconnect(): void {
    this.#receivers.clear();
  }

  #watch(scope: Scope, receive: Receive<StateDelta<AcceptedObject>>): void {
    this.#receivers.add(receive);
    scope.defer(() => void this.#receivers.delete(receive));
    if (this.#last !== undefined) receive(this.#last);
  }

  #deliver(delta: StateDelta<AcceptedObject>): void {
    if (delta.snapshot) this.#last = delta;
    for (const receive of this.#receivers) receive(delta);
  }
}

function entries(revision: number, objects: readonly Resource[]): StateDelta<AcceptedObject>["upserted"] {
  return objects.map((object) => ({
    key: keyOf(object),
    revision,
    value: { object, revision, ownerFile: undefined, origin: { file: "test.yaml", line: 1, column: 1 } },
  }));
}

/** What runs, as tests say. */
export class RegistryFeed implements ServiceRegistry {
  readonly #receivers = new Set<Receive<RegistryDelta>>();
  readonly #objects = new Map<string, RegistryObject>();
  #first = Promise.withResolvers<void>();
  #available = false;
  /** Watches that fail from now on. */
  failures = 0;
  watches = 0;

  constructor(...objects: readonly RegistryObject[]) {
    if (objects.length > 0) this.set(...objects);
  }

  async watch(scope: Scope, receive: Receive<RegistryDelta>): Promise<void> {
    this.watches++;
    if (this.failures > 0) {
      this.failures--;
      throw new Error("the registry is not there");
    }
    this.#receivers.add(receive);
    scope.defer(() => {
      this.#receivers.delete(receive);
      this.#first.resolve();
    });
    if (this.#available) receive({ snapshot: true, upserted: [...this.#objects.values()], removed: [] });
    await this.#first.promise;
  }

  set(...objects: readonly RegistryObject[]): void {
    const snapshot = !this.#available;
    for (const object of objects) this.#objects.set(keyOf(object), object);
    this.#available = true;
    this.#first.resolve();
    for (const receive of this.#receivers) receive({ snapshot, upserted: objects, removed: [] });
  }

  delete(...keys: readonly string[]): void {
    for (const key of keys) this.#objects.delete(key);
    for (const receive of this.#receivers) receive({ snapshot: false, upserted: [], removed: keys });
  }
}
