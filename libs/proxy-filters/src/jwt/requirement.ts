import type { Exchange } from "@lateen/proxy";
import type { JwtRequirementSpec } from "./config.ts";
import { failures } from "./failures.ts";
import { comparable, type Provider } from "./provider.ts";
import type { RemoteKeys } from "./remote-keys.ts";

/** Why a request does not meet a requirement; undefined: it does. */
export type Requirement = (exchange: Exchange, nowMs: number) => string | undefined;

/** Keys that have to be fetched before it can be told whether a request meets a requirement. */
export type MissingKeys = (exchange: Exchange, nowMs: number) => readonly RemoteKeys[];

/** Undefined: no provider of the requirement fetches keys. */
export function compileMissingKeys(
  spec: JwtRequirementSpec,
  providers: ReadonlyMap<string, Provider>,
): MissingKeys | undefined {
  const asked = providersOf(spec).flatMap(({ provider: name, audiences }) => {
    const provider = providers.get(name);
    return provider === undefined || typeof provider.spec.jwks === "string"
      ? []
      : [{ provider, audiences: comparable(audiences) }];
  });
  if (asked.length === 0) return undefined;
  return (exchange, now) => {
    const found = asked.flatMap(({ provider, audiences }) => provider.missingKeys(exchange, now, audiences) ?? []);
    return [...new Set(found)];
  };
}

function providersOf(spec: JwtRequirementSpec): readonly Extract<JwtRequirementSpec, { kind: "provider" }>[] {
  switch (spec.kind) {
    case "provider":
      return [spec];
    case "any":
    case "all":
      return spec.of.flatMap(providersOf);
    case "allowMissing":
    case "allowMissingOrFailed":
      return [];
  }
}

/**
 * Compiles a requirement. Of several one of which is to hold, the first that holds decides, and of their failures the last that
 * says more than that there is no token, or none of a known issuer.
 */
export function compileRequirement(
  spec: JwtRequirementSpec,
  providers: ReadonlyMap<string, Provider>,
  near: readonly Provider[] = [...providers.values()],
): Requirement {
  switch (spec.kind) {
    case "provider": {
      const provider = providers.get(spec.provider);
      if (provider === undefined) throw new Error(`there is no JWT provider "${spec.provider}"`);
      const audiences = comparable(spec.audiences);
      return (exchange, now) => {
        provider.strip(exchange);
        return provider.check(exchange, now, audiences);
      };
    }
    case "all": {
      const all = spec.of.map((one) => compileRequirement(one, providers, near));
      return (exchange, now) => {
        for (const one of all) {
          const problem = one(exchange, now);
          if (problem !== undefined) return problem;
        }
        return undefined;
      };
    }
    case "any":
      return anyOf(spec.of, providers);
    case "allowMissing":
      return (exchange) =>
        near.some((provider) => provider.tokens(exchange).length > 0) ? failures.unknownIssuer : undefined;
    case "allowMissingOrFailed":
      return () => undefined;
  }
}

function anyOf(of: readonly JwtRequirementSpec[], providers: ReadonlyMap<string, Provider>): Requirement {
  // What allows that there is no token looks where the others do.
  const beside = of.flatMap((one) => (one.kind === "provider" ? (providers.get(one.provider) ?? []) : []));
  const near = beside.length > 0 ? beside : [...providers.values()];
  const regular = of.filter(({ kind }) => kind === "provider" || kind === "any" || kind === "all");
  const lenient = of.filter((one) => !regular.includes(one));
  const all = [...regular, ...lenient].map((one) => compileRequirement(one, providers, near));
  return (exchange, now) => {
    let problem: string = failures.missing;
    for (const one of all) {
      const next = one(exchange, now);
      if (next === undefined) return undefined;
      if (next !== failures.missing && (next !== failures.unknownIssuer || problem === failures.missing))
        problem = next;
    }
    return problem;
  };
}
