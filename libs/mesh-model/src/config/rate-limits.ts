import { err, ok, type Result } from "@lateen/kernel";
import { decodeObjectValue } from "../decode/decode-value.ts";
import { toDiagnostic } from "../decode/diagnostic.ts";
import { splitDocuments } from "../decode/split.ts";
import { parseYaml } from "../decode/yaml.ts";
import { codes } from "../errors.ts";
import type { Diagnostic } from "../origin.ts";
import { type Infer, type ObjectNode, s } from "../schema/index.ts";
import { Check } from "../validation/check.ts";

/** ConfigMap of the root namespace whose keys are rate-limit configurations, one domain each. */
export const RATE_LIMITS_CONFIG_MAP = "ratelimit-config";

/** Limits of one domain, in the form of Envoy's rate-limit service. */
export interface RateLimitDomain {
  readonly domain: string;
  readonly descriptors: readonly RateLimitRule[];
}

/** What an entry of a request's descriptor may be, what holds of it, and which entries may follow. */
export interface RateLimitRule {
  readonly key: string;
  /** Undefined: any, each counted by itself. One that ends in `*` is any that begins so. */
  readonly value: string | undefined;
  readonly limit: RateLimitRuleLimit | undefined;
  /** Counted and told, never refused. */
  readonly shadow: boolean;
  /** Metrics tell the values apart that the rule leaves open. */
  readonly detailedMetric: boolean;
  /** All values that a `*` stands for count together. */
  readonly shareThreshold: boolean;
  readonly descriptors: readonly RateLimitRule[];
}

export type RateLimitUnit = "second" | "minute" | "hour" | "day" | "month" | "year";

export interface RateLimitRuleLimit {
  /** `unlimited`: nothing is counted. */
  readonly rate:
    | "unlimited"
    | { readonly requests: number; readonly unit: RateLimitUnit; readonly algorithm: "fixed" | "rolling" };
  readonly name: string;
  /** Names of limits that do not hold where this one does. */
  readonly replaces: readonly string[];
}

const UNITS: readonly RateLimitUnit[] = ["second", "minute", "hour", "day", "month", "year"];
/** `requests_per_unit` is an uint32. */
const MAX_REQUESTS = 0xffff_ffff;
const MAX_DEPTH = 16;

const limitSchema = s.object({
  unit: s.string(),
  requests_per_unit: s.integer({ min: 0, max: MAX_REQUESTS }),
  unlimited: s.boolean(),
  name: s.string(),
  replaces: s.array(s.object({ name: s.required(s.string()) })),
  /** Ours; names as Mixer's redisquota has them. */
  algorithm: s.oneOf(["FIXED_WINDOW", "ROLLING_WINDOW"]),
});
const ruleSchema = s.object({
  key: s.required(s.string()),
  value: s.string(),
  rate_limit: limitSchema,
  shadow_mode: s.boolean(),
  detailed_metric: s.boolean(),
  share_threshold: s.boolean(),
  value_to_metric: s.unsupported(s.boolean(), "metrics tell values apart with detailed_metric only"),
  quota_mode: s.unsupported(s.boolean(), "limits are enforced or in shadow_mode"),
  descriptors: s.array(s.any()),
});
const domainSchema = s.object({
  domain: s.required(s.string()),
  descriptors: s.array(s.any()),
});

/**
 * Reads the configuration of one domain. Unknown fields, wrong values and what this release cannot honour are errors with their line; `file` is
 * for messages.
 */
export function rateLimitsFromText(text: string, file: string): Result<RateLimitDomain, readonly Diagnostic[]> {
  const [first, second] = splitDocuments(text);
  const origin = { file, line: (second?.line ?? 0) + 1, column: 1 };
  if (first === undefined) return err([problem("there is no rate-limit configuration in it", origin)]);
  if (second !== undefined) return err([problem("a rate-limit configuration must be one document", origin)]);
  const parsed = parseYaml(file, first);
  if (!parsed.ok) {
    return err(parsed.problems.map(({ message, origin: at, code }) => ({ ...problem(message, at), code })));
  }
  const check = new Check();
  const written = decodeObjectValue(domainSchema as ObjectNode, parsed.document.value ?? {}, check, "strict") as
    | Infer<typeof domainSchema>
    | undefined;
  if (written?.domain === "") check.at("domain").error("must not be empty");
  const descriptors = readRules(written?.descriptors ?? [], check.at("descriptors"), 1);
  checkReplaced(descriptors, check.at("descriptors"));
  if (written === undefined || check.findings.length > 0) {
    return err(check.findings.map((finding) => toDiagnostic(finding, parsed.document.locate)));
  }
  return ok({ domain: written.domain, descriptors });
}

function problem(message: string, origin: Diagnostic["origin"]): Diagnostic {
  return { level: "error", code: codes.rateLimits, message, path: "", origin };
}

function readRules(written: readonly unknown[], check: Check, depth: number): readonly RateLimitRule[] {
  if (depth > MAX_DEPTH) {
    check.error(`nested deeper than ${MAX_DEPTH} levels`, { code: codes.bounds });
    return [];
  }
  const seen = new Set<string>();
  return written.flatMap((item, index) => {
    const at = check.at(index);
    const before = check.findings.length;
    const rule = decodeObjectValue(ruleSchema as ObjectNode, item, at, "strict") as
      | Infer<typeof ruleSchema>
      | undefined;
    // What is wrong is not missing as well.
    const required = check.findings.length === before;
    if (rule?.key === undefined) return [];
    if (rule.key === "") at.at("key").error("must not be empty");
    const value = rule.value === "" ? undefined : rule.value;
    const name = JSON.stringify([rule.key, value]);
    if (seen.has(name)) {
      at.error(`${describe(rule.key, value)} is in this list already`, { code: codes.duplicate });
    }
    seen.add(name);
    if (rule.share_threshold === true && value?.endsWith("*") !== true) {
      at.at("share_threshold").error("holds of values that end in * only", { code: codes.conflict });
    }
    return [
      {
        key: rule.key,
        value,
        limit: rule.rate_limit === undefined ? undefined : readLimit(rule.rate_limit, at.at("rate_limit"), required),
        shadow: rule.shadow_mode ?? false,
        detailedMetric: rule.detailed_metric ?? false,
        shareThreshold: rule.share_threshold ?? false,
        descriptors: readRules(rule.descriptors ?? [], at.at("descriptors"), depth + 1),
      },
    ];
  });
}

function readLimit(
  written: Infer<typeof limitSchema>,
  check: Check,
  required: boolean,
): RateLimitRuleLimit | undefined {
  const { unit: unitText, requests_per_unit: requests, unlimited = false, algorithm, name = "" } = written;
  const replaces = (written.replaces ?? []).map((one) => one.name);
  if (unlimited) {
    if (unitText !== undefined || requests !== undefined || algorithm !== undefined) {
      check.at("unlimited").error("what is unlimited has no unit and no number of requests", { code: codes.conflict });
    }
    return { rate: "unlimited", name, replaces };
  }
  const unit = UNITS.find((one) => one === unitText?.toLowerCase());
  const missing = (name: string) => check.error(`field "${name}" is required`, { code: codes.missingField });
  if (required && unitText === undefined) missing("unit");
  if (required && requests === undefined) missing("requests_per_unit");
  if (unitText !== undefined && unit === undefined)
    check.at("unit").error(`"${unitText}" is not one of ${UNITS.join(", ")}`);
  if (name !== "" && replaces.includes(name)) {
    check.at("replaces").error(`"${name}" cannot replace itself`, { code: codes.conflict });
  }
  if (unit === undefined || requests === undefined) return undefined;
  return {
    rate: { requests, unit, algorithm: algorithm === "ROLLING_WINDOW" ? "rolling" : "fixed" },
    name,
    replaces,
  };
}

/** A name that is replaced and borne by no limit is a typing error. */
function checkReplaced(descriptors: readonly RateLimitRule[], check: Check): void {
  const names = new Set<string>();
  const visit = (rules: readonly RateLimitRule[], each: (rule: RateLimitRule, path: Check) => void, path: Check) => {
    for (const [index, rule] of rules.entries()) {
      each(rule, path.at(index));
      visit(rule.descriptors, each, path.at(index, "descriptors"));
    }
  };
  visit(descriptors, ({ limit }) => names.add(limit?.name ?? ""), check);
  visit(
    descriptors,
    ({ limit }, at) => {
      for (const [index, name] of (limit?.replaces ?? []).entries()) {
        if (names.has(name)) continue;
        at.at("rate_limit", "replaces", index, "name").error(`no limit of this domain has the name "${name}"`);
      }
    },
    check,
  );
}

function describe(key: string, value: string | undefined): string {
  return value === undefined ? `key "${key}" without a value` : `key "${key}" with value "${value}"`;
}
