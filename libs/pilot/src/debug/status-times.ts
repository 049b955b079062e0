import type { KindName, ResourceKey } from "@lateen/mesh-model";
import type { WorldChange } from "../feed/world.ts";

type Fields = Readonly<Record<string, unknown>>;
interface Seen {
  readonly status: unknown;
  /** RFC 3339. */
  readonly since: string;
}

/** Kinds whose status has conditions. */
const KINDS: ReadonlySet<string> = new Set<KindName>([
  "GatewayClass",
  "KubernetesGateway",
  "HTTPRoute",
  "GRPCRoute",
  "TLSRoute",
  "TCPRoute",
  "BackendTLSPolicy",
]);

/**
 * Since when conditions are as they are. The compiler has no clock: whoever runs it looks at the statuses after each change. What
 * was there before this process began counts from its first look.
 */
export class StatusTimes {
  readonly #objects = new Map<ResourceKey, ReadonlyMap<string, Seen>>();

  /**
   * Looks at the statuses after a change. Those of unchanged objects may be others, too.
   * @param statusOf undefined: the object has none. It may throw: the object is looked at next time.
   */
  observe(change: WorldChange, statusOf: (key: ResourceKey) => Fields | undefined, now: string): void {
    for (const key of change.removed) this.#objects.delete(key);
    for (const { kind, metadata } of change.upserted) {
      const key = `${kind}/${metadata.namespace}/${metadata.name}` as ResourceKey;
      if (KINDS.has(kind) && !this.#objects.has(key)) this.#objects.set(key, new Map());
    }
    for (const [key, before] of this.#objects) {
      const seen = new Map<string, Seen>();
      try {
        walk(statusOf(key), "", (place, { status }) => {
          const known = before.get(place);
          seen.set(place, known !== undefined && known.status === status ? known : { status, since: now });
          return {};
        });
      } catch {
        continue;
      }
      this.#objects.set(key, seen);
    }
  }

  /** A status with `lastTransitionTime` in its conditions, where it is known. */
  stamped(key: ResourceKey, status: Fields): Fields {
    const seen = this.#objects.get(key);
    if (seen === undefined) return status;
    const stamp = (place: string, condition: Fields): Fields => {
      const known = seen.get(place);
      return known !== undefined && known.status === condition.status ? { lastTransitionTime: known.since } : {};
    };
    return walk(status, "", stamp) as Fields;
  }
}

/** Copies a status, adding to every condition what `visit` answers. A place is the same in every status of the object. */
function walk(value: unknown, place: string, visit: (place: string, condition: Fields) => Fields): unknown {
  if (Array.isArray(value))
    return value.map((one: unknown, index) => walk(one, `${place}/${nameOf(one, index)}`, visit));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, entry]: [string, unknown]) => {
    const below = `${place}/${name}`;
    if (name !== "conditions" || !Array.isArray(entry)) return [name, walk(entry, below, visit)];
    const conditions = entry as readonly Fields[];
    return [name, conditions.map((one) => ({ ...one, ...visit(`${below}/${String(one.type)}`, one) }))];
  });
  return Object.fromEntries(entries);
}

/** What stays the same when others come and go: the name of a listener, the parent of a route. */
function nameOf(value: unknown, index: number): string {
  const { name, parentRef, ancestorRef } = (value ?? {}) as Fields;
  return typeof name === "string" ? name : JSON.stringify(parentRef ?? ancestorRef ?? index);
}
