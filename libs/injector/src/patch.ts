import { isObject, sameJson } from "./json.ts";

/** One step of a JSON patch. @see RFC 6902 */
export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/**
 * The JSON patch that makes `after` of `before`. Lists of equal length are compared item by item; others are grown at their end when
 * they begin alike, and replaced otherwise.
 * @see RFC 6902, RFC 6901 for the paths
 */
export function jsonPatch(before: unknown, after: unknown, path = ""): readonly PatchOperation[] {
  if (sameJson(before, after)) return [];
  if (isObject(before) && isObject(after)) {
    return [
      ...Object.keys(before)
        .filter((name) => !Object.hasOwn(after, name))
        .map((name): PatchOperation => ({ op: "remove", path: `${path}/${escaped(name)}` })),
      ...Object.entries(after).flatMap(([name, value]) => {
        const inner = `${path}/${escaped(name)}`;
        return Object.hasOwn(before, name)
          ? jsonPatch(before[name], value, inner)
          : [{ op: "add", path: inner, value } as const];
      }),
    ];
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    if (before.length === after.length) {
      return after.flatMap((item: unknown, index) => jsonPatch(before[index], item, `${path}/${index}`));
    }
    if (before.length < after.length && before.every((item, index) => sameJson(item, after[index]))) {
      return after.slice(before.length).map((value): PatchOperation => ({ op: "add", path: `${path}/-`, value }));
    }
  }
  return [{ op: "replace", path, value: after }];
}

function escaped(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
