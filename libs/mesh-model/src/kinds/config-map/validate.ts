import { withoutEffect } from "../../config/annotation.ts";
import { meshConfigFromText } from "../../config/from-config-map.ts";
import { meshNetworksFromText } from "../../config/networks.ts";
import { RATE_LIMITS_CONFIG_MAP, rateLimitsFromText } from "../../config/rate-limits.ts";
import { codes } from "../../errors.ts";
import { diagnosticText } from "../../origin.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import type { KindContext } from "../index.ts";
import type { configMapBody } from "./schema.ts";

/** Where Istio's installations keep the mesh configuration. */
const MESH_CONFIG = { namespace: "istio-system", name: "istio" } as const;

/** core/v1 ConfigMap: any data, except those of the mesh configuration and of rate limits, whose keys are read as such. */
export function validateConfigMap(body: Infer<typeof configMapBody>, context: KindContext): void {
  const { namespace, name } = context.metadata;
  if (namespace !== MESH_CONFIG.namespace) return;
  if (name === RATE_LIMITS_CONFIG_MAP) validateRateLimits(body.data ?? {}, context.check.at("data"));
  if (name !== MESH_CONFIG.name) return;
  const check = context.check.at("data");
  const config = meshConfigFromText(body.data?.mesh ?? "", "mesh");
  for (const { code, message, path, origin, hint } of config.ok ? [] : config.error) {
    check.at("mesh").error(`line ${origin.line}: ${diagnosticText({ path, message })}`, { code, hint });
  }
  for (const message of config.ok ? withoutEffect(config.value) : []) check.at("mesh").warn(`defaultConfig.${message}`);
  const networks = meshNetworksFromText(body.data?.meshNetworks ?? "", "meshNetworks");
  for (const { code, message, path, origin, hint } of networks.ok ? [] : networks.error) {
    check.at("meshNetworks").error(`line ${origin.line}: ${diagnosticText({ path, message })}`, { code, hint });
  }
}

/** Every key is the configuration of one domain. */
function validateRateLimits(data: Readonly<Record<string, string>>, check: Check): void {
  const seen = new Map<string, string>();
  for (const [key, text] of Object.entries(data)) {
    const read = rateLimitsFromText(text, key);
    const at = check.at(key);
    for (const { code, message, path, origin, hint } of read.ok ? [] : read.error) {
      at.error(`line ${origin.line}: ${diagnosticText({ path, message })}`, { code, hint });
    }
    if (!read.ok) continue;
    const other = seen.get(read.value.domain);
    if (other !== undefined)
      at.error(`domain "${read.value.domain}" is in key "${other}" already`, { code: codes.duplicate });
    seen.set(read.value.domain, key);
  }
}
