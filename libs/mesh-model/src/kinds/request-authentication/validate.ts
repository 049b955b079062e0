import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkDuration, checkSelector } from "../../validation/common.ts";
import { checkHeaderText, isHeaderName } from "../../validation/headers.ts";
import type { KindContext } from "../index.ts";
import { checkTargets } from "../targets.ts";
import type { requestAuthenticationBody } from "./schema.ts";

type Rule = NonNullable<NonNullable<Infer<typeof requestAuthenticationBody>["spec"]>["jwtRules"]>[number];

/** security.istio.io RequestAuthentication, as Istio's admission checks it. */
export function validateRequestAuthentication(
  body: Infer<typeof requestAuthenticationBody>,
  context: KindContext,
): void {
  const spec = body.spec ?? {};
  const { selector, jwtRules = [] } = spec;
  const check = context.check.at("spec");
  checkSelector(selector, "matchLabels", check.at("selector"));
  checkTargets(spec, context.metadata.namespace, check);
  for (const [index, rule] of jwtRules.entries()) checkRule(rule, check.at("jwtRules", index));
}

function checkRule(rule: Rule, check: Check): void {
  if (rule.issuer === "") check.at("issuer").error("an issuer must not be empty");
  for (const field of ["audiences", "fromParams", "fromCookies", "spaceDelimitedClaims"] as const) {
    for (const [index, value] of (rule[field] ?? []).entries()) {
      if (value === "") check.at(field, index).error("a value must not be empty");
    }
  }
  if (rule.jwks !== undefined && rule.jwksUri !== undefined) {
    check.at("jwks").error("only one of jwks and jwksUri can be used", { code: codes.conflict });
  }
  if (rule.jwks === undefined && rule.jwksUri === undefined && !isHttpUrl(rule.issuer)) {
    check.error("jwks or jwksUri is required: keys can only be looked for below an issuer that is a URL", {
      code: codes.missingField,
    });
  }
  checkKeys(rule, check);
  for (const [index, { name, prefix }] of (rule.fromHeaders ?? []).entries()) {
    checkHeader(name, check.at("fromHeaders", index, "name"));
    checkHeaderText(prefix, check.at("fromHeaders", index, "prefix"));
  }
  if (rule.outputPayloadToHeader !== undefined) {
    checkHeader(rule.outputPayloadToHeader, check.at("outputPayloadToHeader"));
  }
  for (const [index, { header, claim }] of (rule.outputClaimToHeaders ?? []).entries()) {
    const at = check.at("outputClaimToHeaders", index);
    checkHeader(header, at.at("header"));
    if (claim === "") at.at("claim").error("a claim must not be empty");
  }
  checkDuration(rule.timeout, check.at("timeout"));
}

function checkKeys({ jwks, jwksUri }: Rule, check: Check): void {
  if (jwksUri !== undefined && !isHttpUrl(jwksUri)) {
    check.at("jwksUri").error(`"${jwksUri}" is not an http or https URL`);
  }
  if (jwks === undefined) return;
  const keys = parsedKeys(jwks);
  if (keys === undefined) check.at("jwks").error(`jwks is not a JSON Web Key Set: {"keys": [...]}`);
  else if (keys.some((key) => typeof key === "object" && key !== null && "d" in key)) {
    check.at("jwks").warn("jwks contains a private key, which everybody who may read this object can use");
  }
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

function parsedKeys(text: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const keys = typeof value === "object" && value !== null ? (value as { keys?: unknown }).keys : undefined;
    return Array.isArray(keys) ? keys : undefined;
  } catch {
    return undefined;
  }
}

function checkHeader(name: string, check: Check): void {
  if (!isHeaderName(name)) check.error(`"${name}" is not a header name`);
}
