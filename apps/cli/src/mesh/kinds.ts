import { nearestName } from "@lateen/kernel";
import { type KindName, kinds } from "@lateen/mesh-model";
import { usageError } from "../errors.ts";

/** What is known of a kind. */
export interface KindFacts {
  readonly kind: KindName;
  readonly group: string;
  readonly plural: string;
  readonly cluster: boolean;
}

/**
 * Finds a kind as kubectl does: by kind, plural or short name, in any case, also as `plural.group`.
 * @throws LTN7501 for an unknown one, with the nearest name.
 */
export function kindByName(name: string): KindFacts {
  const wanted = name.toLowerCase();
  const known: string[] = [];
  for (const [kind, definition] of Object.entries(kinds)) {
    const { group, plural, shortNames, scope } = definition;
    const names = [kind.toLowerCase(), plural, ...shortNames];
    known.push(...names);
    const qualified = names.flatMap((one) => [one, `${one}.${group}`]);
    if (qualified.includes(wanted)) return { kind: kind as KindName, group, plural, cluster: scope === "Cluster" };
  }
  const near = nearestName(wanted, known);
  throw usageError(`unknown kind "${name}"${near === undefined ? "" : `, did you mean ${near}?`}`);
}

/** `virtualservice.networking.istio.io/reviews`, as kubectl names an object. */
export function objectLabel(kind: string, name: string): string {
  const definition = kind in kinds ? kinds[kind as KindName] : undefined;
  const group = definition === undefined || definition.group === "" ? "" : `.${definition.group}`;
  const written = definition !== undefined && "writtenAs" in definition ? String(definition.writtenAs) : kind;
  return `${written.toLowerCase()}${group}/${name}`;
}
