import { type Fields, isFields } from "../client/objects.ts";

/**
 * A status with our parts in place of those of ours it had. Conditions are known by type, listeners by name, parents and ancestors by their
 * reference and controller; other fields are replaced. A condition whose status is the same keeps the time of its last transition. Fields
 * keep their order, so that an equal result is equal text.
 * @param controller ours.
 */
export function mergedStatus(before: Fields, ours: Fields, controller: string): Fields {
  const merged: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(ours)) {
    // Nothing to say where nobody said anything.
    if (before[name] === undefined && Array.isArray(value) && value.length === 0) continue;
    merged[name] = mergedField(name, before[name], value, controller);
  }
  return merged;
}

function mergedField(name: string, before: unknown, ours: unknown, controller: string): unknown {
  if (!Array.isArray(ours)) return sameJson(before, ours) ? before : ours;
  const found = listOf(before);
  switch (name) {
    case "conditions":
      return mergedConditions(found, listOf(ours));
    case "parents":
    case "ancestors":
      return mergedParents(found, listOf(ours), controller);
    case "listeners":
      return listOf(ours).map((one) =>
        inPlaceOf(
          found.find((old) => old.name === one.name),
          one,
          controller,
        ),
      );
    default:
      return sameJson(before, ours) ? before : ours;
  }
}

function mergedConditions(found: readonly Fields[], ours: readonly Fields[]): readonly Fields[] {
  const kept = found.map((old) => {
    const next = ours.find(({ type }) => type === old.type);
    return next === undefined ? old : mergedCondition(old, next);
  });
  return [...kept, ...ours.filter(({ type }) => !found.some((old) => old.type === type))];
}

function mergedCondition(old: Fields, next: Fields): Fields {
  const time = old.status === next.status ? { lastTransitionTime: old.lastTransitionTime } : {};
  const wanted = { ...next, ...time };
  return sameFields(old, wanted) ? old : wanted;
}

/** Parents of a controller that is not ours are not ours to change, and ours that are gone go. */
function mergedParents(found: readonly Fields[], ours: readonly Fields[], controller: string): readonly Fields[] {
  const next = (old: Fields) => ours.find((one) => refOf(one) === refOf(old));
  const kept = found.flatMap((old) => {
    if (old.controllerName !== controller) return [old];
    const one = next(old);
    return one === undefined ? [] : [inPlaceOf(old, one, controller)];
  });
  const known = new Set(found.filter((old) => old.controllerName === controller).map(refOf));
  return [...kept, ...ours.filter((one) => !known.has(refOf(one)))];
}

function refOf({ parentRef, ancestorRef }: Fields): string {
  const ref = parentRef ?? ancestorRef;
  return JSON.stringify(Object.entries(isFields(ref) ? ref : {}).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function inPlaceOf(old: Fields | undefined, next: Fields, controller: string): Fields {
  if (old === undefined) return next;
  const merged = mergedStatus({ ...old }, next, controller);
  // What is not said any more is gone.
  const kept = Object.fromEntries(Object.entries(merged).filter(([name]) => name in next));
  return sameFields(old, kept) ? old : kept;
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Whatever their order. */
function sameFields(a: Fields, b: Fields): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => name in b && sameJson(a[name], b[name]));
}
