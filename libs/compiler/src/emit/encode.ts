import type { ReusingMessage } from "@lateen/proto";
import type { Read } from "../engine/query-engine.ts";
import type { EncodedResource, ResourceInterner } from "../resource.ts";

/** The input cell that holds the interner; set once. */
export const INTERNER_CELL = "interner";

/** Encodes a message as a shared resource. Equal content gives the identical object, so identity is equality here. */
export function encode<T>(read: Read, type: ReusingMessage<T>, name: string, message: T): EncodedResource {
  return (read.input(INTERNER_CELL) as ResourceInterner).encode(type, name, message);
}

/** The same for content that is encoded already. */
export function intern(read: Read, name: string, any: EncodedResource["any"]): EncodedResource {
  return (read.input(INTERNER_CELL) as ResourceInterner).intern(name, any);
}

/** Resources by name; of several with one name the first stays. */
export function byName(resources: Iterable<EncodedResource>): ReadonlyMap<string, EncodedResource> {
  const map = new Map<string, EncodedResource>();
  for (const resource of resources) if (!map.has(resource.name)) map.set(resource.name, resource);
  return map;
}
