import type { Resource } from "@lateen/mesh-model";
import type { Read } from "../engine/query-engine.ts";
import { cells } from "./mesh-snapshot.ts";
import { compare, keysOf } from "./services.ts";

/** Objects of a kind, oldest first, ties by name and namespace (Istio's conflict order). */
export function byAge<R extends Resource>(objects: readonly R[]): readonly R[] {
  return objects
    .map((object) => ({ object, time: timeOf(object) }))
    .sort(
      (a, b) =>
        a.time - b.time ||
        compare(a.object.metadata.name, b.object.metadata.name) ||
        compare(a.object.metadata.namespace, b.object.metadata.namespace),
    )
    .map(({ object }) => object);
}

function timeOf(object: Resource): number {
  const time = Date.parse(object.metadata.creationTimestamp ?? "");
  return Number.isNaN(time) ? 0 : time;
}

/** Objects of a kind in all namespaces, in Istio's conflict order. */
export function objectsOf<R extends Resource>(read: Read, kind: R["kind"]): readonly R[] {
  return byAge(keysOf(read, kind).map((key) => read.input(cells.object(key)) as R));
}
