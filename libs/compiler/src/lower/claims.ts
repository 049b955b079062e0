import { MetadataMatcher } from "@lateen/proto/envoy/type/matcher/v3/metadata";
import type { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import type { ValueMatcher } from "@lateen/proto/envoy/type/matcher/v3/value";

/** Filter that verifies tokens, and the key under which it tells their payload. */
export const JWT_FILTER = "envoy.filters.http.jwt_authn";
export const PAYLOAD_KEY = "payload";

/** A claim, by its path. */
export interface TokenCondition {
  readonly claim: readonly string[];
  /** It may be a list, of which one item is to match. */
  readonly list: boolean;
}

/** A condition on a claim of a verified token; undefined: it is there. */
export function claimMatcher(
  { claim, list }: TokenCondition,
  value: StringMatcher | undefined,
  invert = false,
): MetadataMatcher {
  return MetadataMatcher.fromPartial({
    filter: JWT_FILTER,
    path: [PAYLOAD_KEY, ...claim].map((key) => ({ segment: { $case: "key", value: key } })),
    value: value === undefined ? { matchPattern: { $case: "presentMatch", value: true } } : valueMatcher(value, list),
    invert,
  });
}

function valueMatcher(value: StringMatcher, list: boolean): ValueMatcher {
  const text: ValueMatcher = { matchPattern: { $case: "stringMatch", value } };
  if (!list) return text;
  const item: ValueMatcher = {
    matchPattern: { $case: "listMatch", value: { matchPattern: { $case: "oneOf", value: text } } },
  };
  return { matchPattern: { $case: "orMatch", value: { valueMatchers: [text, item] } } };
}
