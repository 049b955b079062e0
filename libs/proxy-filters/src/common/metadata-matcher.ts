import { compileTextMatch, type StringMatchSpec } from "@lateen/traffic";

/** What dynamic metadata must say. @see envoy.type.matcher.v3.MetadataMatcher */
export interface MetadataMatchSpec {
  readonly namespace: string;
  readonly path: readonly string[];
  readonly value: ValueMatchSpec;
  readonly invert: boolean;
}

/** @see envoy.type.matcher.v3.ValueMatcher */
export type ValueMatchSpec =
  | { readonly kind: "null" }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "present"; readonly value: boolean }
  | { readonly kind: "text"; readonly match: StringMatchSpec }
  | { readonly kind: "oneOf"; readonly of: ValueMatchSpec }
  | { readonly kind: "or"; readonly of: readonly ValueMatchSpec[] };

/** Whoever has metadata: an exchange. */
interface MetadataSource {
  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined;
}

export function compileMetadataMatch(spec: MetadataMatchSpec): (source: MetadataSource) => boolean {
  const matches = compileValue(spec.value);
  return (source) => {
    let value: unknown = source.metadata(spec.namespace);
    for (const step of spec.path) {
      value =
        typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[step] : undefined;
    }
    return matches(value) !== spec.invert;
  };
}

function compileValue(spec: ValueMatchSpec): (value: unknown) => boolean {
  switch (spec.kind) {
    case "null":
      return (value) => value === null;
    case "bool":
      return (value) => value === spec.value;
    case "present":
      return (value) => (value !== undefined && value !== null) === spec.value;
    case "text": {
      const matches = compileTextMatch(spec.match);
      return (value) => typeof value === "string" && matches(value);
    }
    case "oneOf": {
      const matches = compileValue(spec.of);
      return (value) => Array.isArray(value) && value.some((entry) => matches(entry));
    }
    case "or": {
      const all = spec.of.map(compileValue);
      return (value) => all.some((matches) => matches(value));
    }
  }
}
