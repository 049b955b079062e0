import type { Resource } from "../kinds/index.ts";
import type { Diagnostic } from "../origin.ts";

/** Findings that need more than one object. Pure. */
export function analyze(_objects: Iterable<Resource>): readonly Diagnostic[] {
  return [];
}
