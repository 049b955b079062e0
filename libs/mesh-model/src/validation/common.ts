import { parseDuration } from "@lateen/kernel";
import { RE2JS } from "re2js";
import { codes } from "../errors.ts";
import type { destination, stringMatch, workloadSelector } from "../kinds/shared.ts";
import type { Infer } from "../schema/index.ts";
import type { Check } from "./check.ts";
import { isDnsLabel, isDnsSubdomain, isWildcardHost } from "./names.ts";

type StringMatch = Infer<typeof stringMatch>;

/** A duration of at least one millisecond; `allowZero` for fields where 0 switches something off. */
export function checkDuration(text: string | undefined, check: Check, allowZero = false): void {
  if (text === undefined) return;
  const parsed = parseDuration(text);
  if (!parsed.ok || parsed.value >= 1 || (allowZero && parsed.value === 0)) return;
  check.error(`duration "${text}" must be at least 1ms`);
}

/** A percentage: 0, or 0.0001–100, the smallest share a proxy can tell from none. */
export function checkPercent(value: number | undefined, check: Check): void {
  if (value !== undefined && value > 0 && value < 0.0001) check.error("the smallest percentage is 0.0001");
}

/** Repetitions times length that a pattern may come to: what is above compiles to a program of megabytes. */
const MAX_PATTERN_COST = 100_000;

/** A regular expression of the user: RE2 syntax, at most 1024 characters, of bounded cost. */
export function checkRegex(pattern: string, check: Check): void {
  if (pattern === "" || pattern.length > 1024) {
    check.error("a regular expression must have between 1 and 1024 characters");
    return;
  }
  let repetitions = 1;
  for (const [, least = "", most = ""] of pattern.matchAll(/\{(\d{1,4})(?:,(\d{0,4}))?\}/g)) {
    repetitions += Math.max(Number(least), Number(most));
  }
  if (repetitions * pattern.length > MAX_PATTERN_COST) {
    check.error("the regular expression repeats too much", { hint: "use smaller counts, or * and +" });
    return;
  }
  try {
    RE2JS.compile(pattern);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    check.error(`"${pattern}" is not a regular expression in RE2 syntax: ${reason}`, {
      hint: "RE2 has no look-around and no back-references",
    });
  }
}

/** A StringMatch. `presence`: an empty one means "the header is there" instead of being a fault. */
export function checkStringMatch(match: StringMatch | undefined, check: Check, presence = false): void {
  if (match === undefined) return;
  const set = (["exact", "prefix", "regex"] as const).filter((kind) => match[kind] !== undefined);
  if (set.length > 1) check.error(`only one of ${set.join(", ")} can be used`, { code: codes.conflict });
  if (set.length === 0 && !presence)
    check.error("one of exact, prefix, regex is required", { code: codes.missingField });
  if (match.prefix === "") check.at("prefix").error("a prefix must not be empty");
  if (match.regex !== undefined && !(presence && match.regex === "*")) checkRegex(match.regex, check.at("regex"));
}

/** `exportTo`: `.`, `*`, `~` or namespaces. */
export function checkExportTo(targets: readonly string[] | undefined, check: Check): void {
  const seen = new Set<string>();
  for (const [index, target] of (targets ?? []).entries()) {
    const at = check.at("exportTo", index);
    if (target !== "." && target !== "*" && target !== "~" && !isDnsLabel(target)) {
      at.error(`"${target}" is not ".", "*", "~" or a namespace`);
    }
    if (seen.has(target)) at.error(`"${target}" is written twice`, { code: codes.duplicate });
    seen.add(target);
  }
  if (seen.has("*") && seen.size > 1)
    check.at("exportTo").error(`"*" cannot be combined with others`, { code: codes.conflict });
  if (seen.has("~") && seen.size > 1)
    check.at("exportTo").error(`"~" cannot be combined with others`, { code: codes.conflict });
}

/**
 * A workload selector. security.istio.io writes `matchLabels`, networking.istio.io writes `labels`; the other of the two is an
 * unknown field there.
 */
export function checkSelector(
  selector: Infer<typeof workloadSelector> | undefined,
  field: "matchLabels" | "labels",
  check: Check,
): void {
  if (selector === undefined) return;
  const other = field === "labels" ? "matchLabels" : "labels";
  if (selector[other] !== undefined) {
    check.at(other).error(`unknown field "${other}"`, {
      code: codes.unknownField,
      part: "key",
      hint: `did you mean "${field}"?`,
    });
  }
  const labels = selector[field];
  if (labels === undefined || Object.keys(labels).length === 0) {
    check.warn("a selector without labels selects every workload");
  }
  for (const [key, value] of Object.entries(labels ?? {})) {
    if (key === "") check.at(field).error("a label needs a name");
    if (key.includes("*") || value.includes("*")) {
      check.at(field, key).error("wildcards are not supported in selectors");
    }
  }
}

/** A route's destination. */
export function checkDestination(target: Infer<typeof destination> | undefined, check: Check): void {
  if (target === undefined) return;
  if (target.host === "*") check.at("host").error(`"*" cannot be a destination`);
  else if (!isWildcardHost(target.host)) check.at("host").error(`"${target.host}" is not a host name`);
  if (target.subset !== undefined && target.subset !== "" && !isDnsLabel(target.subset)) {
    check.at("subset").error(`"${target.subset}" is not a valid subset name`);
  }
  if (target.port !== undefined && target.port.number === undefined) {
    check.at("port").error(`field "number" is required`, { code: codes.missingField });
  }
}

/** Weights of a route with several destinations: together more than zero. */
export function checkWeights(routes: readonly { readonly weight?: number }[] | undefined, check: Check): void {
  if (routes === undefined || routes.length < 2) return;
  const total = routes.reduce((sum, route) => sum + (route.weight ?? 0), 0);
  if (total === 0) check.error("the weights of several destinations must add up to more than 0");
  if (total > 4_294_967_295) check.error("the weights add up to more than a proxy can hold");
}

/** Names that must differ: reports each later repetition at its own place. */
export function checkUnique(
  names: Iterable<readonly [name: string, at: Check]>,
  describe: (name: string) => string,
): void {
  const seen = new Set<string>();
  for (const [name, at] of names) {
    if (seen.has(name)) at.error(describe(name), { code: codes.duplicate });
    seen.add(name);
  }
}

/** Gateway references: `mesh`, `name` or `namespace/name`. */
export function checkGateways(gateways: readonly string[] | undefined, check: Check): void {
  for (const [index, gateway] of (gateways ?? []).entries()) {
    const [first = "", second, extra] = gateway.split("/");
    const legal =
      second === undefined
        ? isDnsSubdomain(first)
        : extra === undefined && (first === "." || isDnsLabel(first)) && isDnsSubdomain(second);
    if (!legal) check.at("gateways", index).error(`"${gateway}" is not "mesh", "name" or "namespace/name"`);
    if (gateway.includes("-istio-autogenerated-k8s-")) {
      // Who may attach to a Gateway API Gateway is said by its allowedRoutes, which this would go round.
      check.at("gateways", index).error(`"${gateway}" is made of a Gateway API object: only its routes can use it`, {
        code: codes.conflict,
        hint: "write an HTTPRoute",
      });
    }
  }
}
