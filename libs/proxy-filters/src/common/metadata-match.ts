import type { MetadataMatcher } from "@lateen/proto/envoy/type/matcher/v3/metadata";
import type { ValueMatcher } from "@lateen/proto/envoy/type/matcher/v3/value";
import { join, refuse, stringMatch } from "@lateen/proxy";
import type { MetadataMatchSpec, ValueMatchSpec } from "./metadata-matcher.ts";

/** @see envoy.type.matcher.v3.MetadataMatcher */
export function metadataMatch(matcher: MetadataMatcher, at: string): MetadataMatchSpec {
  return {
    namespace: matcher.filter || refuse(join(at, "filter"), "required"),
    path: matcher.path.map(({ segment }, i) => segment?.value ?? refuse(join(at, `path[${i}]`), "required")),
    value: valueMatch(matcher.value, join(at, "value")),
    invert: matcher.invert,
  };
}

function valueMatch(matcher: ValueMatcher | undefined, at: string): ValueMatchSpec {
  const pattern = matcher?.matchPattern;
  switch (pattern?.$case) {
    case "nullMatch":
      return { kind: "null" };
    case "boolMatch":
      return { kind: "bool", value: pattern.value };
    case "presentMatch":
      return { kind: "present", value: pattern.value };
    case "stringMatch":
      return { kind: "text", match: stringMatch(pattern.value, join(at, "string_match")) };
    case "listMatch": {
      const one = pattern.value.matchPattern;
      if (one?.$case !== "oneOf") return refuse(join(at, "list_match"), "one_of is required");
      return { kind: "oneOf", of: valueMatch(one.value, join(at, "list_match.one_of")) };
    }
    case "orMatch":
      return {
        kind: "or",
        of: pattern.value.valueMatchers.map((entry, i) => valueMatch(entry, join(at, `or_match[${i}]`))),
      };
    case "doubleMatch":
      return refuse(join(at, "double_match"), "not supported by this proxy");
    case undefined:
      return refuse(at, "required");
  }
}
