import type { EnvoyBootstrapOptions } from "./envoy-bootstrap.ts";

/**
 * What Istio's ProxyConfig, as the injector hands it on, says of an Envoy's bootstrap; other fields are for others.
 * @param problems receives what cannot be used.
 */
export function bootstrapSettings(
  config: unknown,
  problems: string[],
): Pick<EnvoyBootstrapOptions, "statistics" | "runtimeValues"> {
  const { proxyStatsMatcher, runtimeValues } = Object(config) as Readonly<Record<string, unknown>>;
  const values = record("runtimeValues", runtimeValues, problems);
  const wrong = Object.entries(values ?? {}).find(
    ([, value]) => !["string", "number", "boolean"].includes(typeof value),
  );
  if (wrong !== undefined) problems.push(`runtimeValues.${wrong[0]}: must be a text, a number, or true or false`);
  const matcher = record("proxyStatsMatcher", proxyStatsMatcher, problems);
  return {
    ...(matcher === undefined || Object.keys(matcher).length === 0
      ? {}
      : { statistics: statistics(matcher, problems) }),
    ...(values === undefined || wrong !== undefined
      ? {}
      : { runtimeValues: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)])) }),
  };
}

function statistics(matcher: Readonly<Record<string, unknown>>, problems: string[]) {
  const texts = (name: string): readonly string[] => {
    const value = matcher[name] ?? [];
    if (Array.isArray(value) && value.every((one) => typeof one === "string" && one !== "")) return value as string[];
    problems.push(`proxyStatsMatcher.${name}: must be a list of texts`);
    return [];
  };
  return {
    inclusionPrefixes: texts("inclusionPrefixes"),
    inclusionSuffixes: texts("inclusionSuffixes"),
    inclusionRegexps: texts("inclusionRegexps"),
  };
}

function record(name: string, value: unknown, problems: string[]): Readonly<Record<string, unknown>> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "object" && !Array.isArray(value)) return value as Readonly<Record<string, unknown>>;
  problems.push(`${name}: must be an object`);
  return undefined;
}
