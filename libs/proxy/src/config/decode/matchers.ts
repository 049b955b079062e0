import type { CidrRange } from "@lateen/proto/envoy/config/core/v3/address";
import type { RuntimeFractionalPercent } from "@lateen/proto/envoy/config/core/v3/base";
import type { HeaderMatcher, QueryParameterMatcher } from "@lateen/proto/envoy/config/route/v3/route_components";
import type { MetadataMatcher } from "@lateen/proto/envoy/type/matcher/v3/metadata";
import type { RegexMatcher } from "@lateen/proto/envoy/type/matcher/v3/regex";
import type { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import type { ValueMatcher } from "@lateen/proto/envoy/type/matcher/v3/value";
import type { FractionalPercent } from "@lateen/proto/envoy/type/v3/percent";
import {
  type HeaderMatchSpec,
  type MetadataMatchSpec,
  parseRegex,
  type QueryMatchSpec,
  type StringMatchSpec,
  type ValueMatchSpec,
} from "@lateen/traffic";
import { join, refuse } from "./fields.ts";

/** Checks that the pattern is RE2 and of bearable size, so that a worker never meets one that is not. */
export function re2Pattern(matcher: RegexMatcher | undefined, at: string): string {
  if (matcher === undefined) return refuse(at, "a regular expression is required");
  const regex = parseRegex(matcher.regex);
  return regex.ok ? matcher.regex : refuse(at, `not an RE2 expression: ${regex.error}`);
}

/** @see envoy.type.matcher.v3.StringMatcher */
export function stringMatch(matcher: StringMatcher | undefined, at: string): StringMatchSpec {
  const pattern = matcher?.matchPattern;
  if (pattern === undefined) return refuse(at, "match_pattern is required");
  switch (pattern.$case) {
    case "exact":
    case "prefix":
    case "suffix":
    case "contains":
      return { kind: pattern.$case, value: pattern.value, ignoreCase: matcher?.ignoreCase ?? false };
    case "safeRegex":
      return { kind: "regex", pattern: re2Pattern(pattern.value, join(at, "safe_regex")) };
    case "custom":
      return refuse(join(at, "custom"), "not supported by this proxy");
  }
}

const LEGACY_KINDS = {
  exactMatch: "exact",
  prefixMatch: "prefix",
  suffixMatch: "suffix",
  containsMatch: "contains",
} as const;

/** @see envoy.config.route.v3.HeaderMatcher */
export function headerMatch(matcher: HeaderMatcher, at: string): HeaderMatchSpec {
  const common = {
    name: matcher.name.toLowerCase(),
    invert: matcher.invertMatch,
    treatMissingAsEmpty: matcher.treatMissingHeaderAsEmpty,
  };
  const specifier = matcher.headerMatchSpecifier;
  if (common.name === "") refuse(at, "name is required");
  if (specifier === undefined) return { ...common, match: { kind: "present" } };
  switch (specifier.$case) {
    case "presentMatch":
      // `present_match: false` asks for absence, which is the inverse.
      return { ...common, match: { kind: "present" }, invert: matcher.invertMatch !== !specifier.value };
    case "stringMatch":
      return { ...common, match: stringMatch(specifier.value, join(at, "string_match")) };
    case "safeRegexMatch":
      return {
        ...common,
        match: { kind: "regex", pattern: re2Pattern(specifier.value, join(at, "safe_regex_match")) },
      };
    case "exactMatch":
    case "prefixMatch":
    case "suffixMatch":
    case "containsMatch":
      return { ...common, match: { kind: LEGACY_KINDS[specifier.$case], value: specifier.value, ignoreCase: false } };
    case "rangeMatch":
      return refuse(join(at, "range_match"), "not supported by this proxy");
  }
}

/** @see envoy.config.route.v3.QueryParameterMatcher */
export function queryMatch(matcher: QueryParameterMatcher, at: string): QueryMatchSpec {
  const specifier = matcher.queryParameterMatchSpecifier;
  if (specifier === undefined) return { name: matcher.name, match: { kind: "present" } };
  if (specifier.$case === "stringMatch") {
    return { name: matcher.name, match: stringMatch(specifier.value, join(at, "string_match")) };
  }
  if (!specifier.value) refuse(join(at, "present_match"), "false is not supported by this proxy");
  return { name: matcher.name, match: { kind: "present" } };
}

/** @see envoy.type.matcher.v3.MetadataMatcher */
export function metadataMatch(matcher: MetadataMatcher, at: string): MetadataMatchSpec {
  const path = matcher.path.map((part, index) => {
    if (part.segment === undefined) return refuse(join(at, `path[${index}]`), "key is required");
    return part.segment.value;
  });
  if (path.length === 0) refuse(join(at, "path"), "at least one segment is required");
  return { filter: matcher.filter, path, value: valueMatch(matcher.value, join(at, "value")), invert: matcher.invert };
}

/** @see envoy.type.matcher.v3.ValueMatcher */
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
      return { kind: "string", match: stringMatch(pattern.value, join(at, "string_match")) };
    case "doubleMatch": {
      const range = pattern.value.matchPattern;
      if (range === undefined) return refuse(join(at, "double_match"), "a value is required");
      const [from, to] = range.$case === "exact" ? [range.value, range.value] : [range.value.start, range.value.end];
      return { kind: "number", from, to };
    }
    case "listMatch":
      return { kind: "list", oneOf: valueMatch(pattern.value.matchPattern?.value, join(at, "list_match.one_of")) };
    case "orMatch": {
      const of = pattern.value.valueMatchers.map((one, index) => valueMatch(one, join(at, `or_match[${index}]`)));
      return { kind: "or", of };
    }
    case undefined:
      return refuse(at, "match_pattern is required");
  }
}

const DENOMINATORS = [100, 10_000, 1_000_000] as const;

/** A share in [0,1]. @see envoy.type.v3.FractionalPercent */
export function fractionOf(percent: FractionalPercent | undefined): number {
  if (percent === undefined) return 1;
  return Math.min(1, percent.numerator / (DENOMINATORS[percent.denominator as 0 | 1 | 2] ?? 100));
}

/** The default of a runtime fraction: this proxy has no runtime layer that could override it. */
export function runtimeFraction(value: RuntimeFractionalPercent | undefined): number {
  return value === undefined ? 1 : fractionOf(value.defaultValue);
}

/** `10.0.0.0/8`. @see envoy.config.core.v3.CidrRange */
export function cidr(range: CidrRange): string {
  return `${range.addressPrefix}/${range.prefixLen ?? 0}`;
}
