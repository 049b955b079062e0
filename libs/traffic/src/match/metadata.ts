import type { MetadataMatchSpec, ValueMatchSpec } from "../route/spec.ts";
import { compileTextMatch } from "./string.ts";

/** What filters told of a request: plain JSON values by the name of the filter. */
export type DynamicMetadata = Readonly<Record<string, unknown>>;
export type MetadataMatch = (metadata: DynamicMetadata | undefined) => boolean;
type ValueMatch = (value: unknown) => boolean;

/**
 * Compiles a look at one value that a filter left. What is not there matches nothing, so `invert` then holds.
 * @throws LateenError LTN5901 for an expression that RE2 does not accept.
 * @see envoy.type.matcher.v3.MetadataMatcher
 */
export function compileMetadataMatch(spec: MetadataMatchSpec): MetadataMatch {
  const { filter, path, invert } = spec;
  const matches = compileValueMatch(spec.value);
  return (metadata) => {
    let value: unknown = metadata === undefined ? undefined : ownField(metadata, filter);
    for (let i = 0; i < path.length && value !== undefined; i++) value = ownField(value, path[i] ?? "");
    return (value !== undefined && matches(value)) !== invert;
  };
}

function ownField(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
    return undefined;
  return (value as Readonly<Record<string, unknown>>)[key];
}

/** @see envoy.type.matcher.v3.ValueMatcher */
function compileValueMatch(spec: ValueMatchSpec): ValueMatch {
  switch (spec.kind) {
    case "null":
      return (value) => value === null;
    case "bool":
      return (value) => value === spec.value;
    case "number":
      return (value) => typeof value === "number" && value >= spec.from && (value < spec.to || value === spec.from);
    case "string": {
      const match = compileTextMatch(spec.match);
      return (value) => typeof value === "string" && match(value);
    }
    case "present":
      return () => spec.value;
    case "list": {
      const one = compileValueMatch(spec.oneOf);
      return (value) => Array.isArray(value) && value.some(one);
    }
    case "or": {
      const any = spec.of.map(compileValueMatch);
      return (value) => any.some((match) => match(value));
    }
  }
}
