import { codes } from "../errors.ts";
import type { Infer } from "../schema/index.ts";
import type { Check } from "../validation/check.ts";
import { isDnsLabel, isHostName } from "../validation/names.ts";
import type { meshConfigSchema } from "./schema.ts";

const PROVIDER_TYPES = ["envoyHttpAls", "envoyFileAccessLog", "prometheus"] as const;
const BUILT_IN_PROVIDERS: readonly string[] = ["prometheus", "envoy"];

/** Rules of the mesh configuration beyond its schema. */
export function checkMeshConfig(config: Infer<typeof meshConfigSchema>, check: Check): void {
  if (config.trustDomain && !isHostName(config.trustDomain)) {
    check.at("trustDomain").error(`"${config.trustDomain}" is not a trust domain`);
  }
  for (const [index, alias] of (config.trustDomainAliases ?? []).entries()) {
    if (!isHostName(alias)) check.at("trustDomainAliases", index).error(`"${alias}" is not a trust domain`);
  }
  if (config.rootNamespace && !isDnsLabel(config.rootNamespace)) {
    check.at("rootNamespace").error(`"${config.rootNamespace}" is not a namespace`);
  }
  const names = new Set(BUILT_IN_PROVIDERS);
  for (const [index, provider] of (config.extensionProviders ?? []).entries()) {
    const at = check.at("extensionProviders", index);
    const types = PROVIDER_TYPES.filter((type) => provider[type] !== undefined);
    if (types.length !== 1) {
      at.error(`provider "${provider.name}" needs exactly one of ${PROVIDER_TYPES.join(", ")}`, {
        code: codes.conflict,
      });
    }
    if (names.has(provider.name) && !BUILT_IN_PROVIDERS.includes(provider.name)) {
      at.at("name").error(`provider "${provider.name}" is defined twice`, { code: codes.duplicate });
    }
    names.add(provider.name);
  }
  for (const use of ["accessLogging", "metrics"] as const) {
    for (const [index, name] of (config.defaultProviders?.[use] ?? []).entries()) {
      if (names.has(name)) continue;
      check.at("defaultProviders", use, index).error(`provider "${name}" is not defined in extensionProviders`);
    }
  }
}
