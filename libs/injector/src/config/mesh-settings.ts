import { err, ok, type Result } from "@lateen/kernel";
import { diagnosticText, type MeshConfig, meshConfigFromText, valueFromText } from "@lateen/mesh-model";
import { isObject, type JsonObject, objectOf } from "../json.ts";

/** What injection reads of the mesh's configuration. */
export interface MeshSettings {
  readonly config: MeshConfig;
  /** `defaultConfig` as written: what proxies are told as PROXY_CONFIG. */
  readonly proxyConfig: JsonObject;
  /** `enablePrometheusMerge`. Default true. */
  readonly prometheusMerge: boolean;
}

/** Reads a MeshConfig given as text, with `overrides` (values `meshConfig`) over it. */
export function meshSettings(text: string, overrides: JsonObject): Result<MeshSettings, readonly string[]> {
  const file = "mesh configuration";
  const read = valueFromText(text, file);
  if (!read.ok) return err(read.error.map((each) => `${file}: ${diagnosticText(each)}`));
  const written = overlaid(objectOf(read.value.value), overrides);
  const config = meshConfigFromText(Object.keys(overrides).length === 0 ? text : JSON.stringify(written), file);
  if (!config.ok) return err(config.error.map((each) => `${file}: ${diagnosticText(each)}`));
  return ok({
    config: config.value,
    proxyConfig: objectOf(written.defaultConfig),
    prometheusMerge: written.enablePrometheusMerge !== false,
  });
}

/** Maps are merged, anything else is replaced: a proxy's own ProxyConfig over the mesh's. */
export function overlaid(base: JsonObject, over: JsonObject): JsonObject {
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(over)) {
    const present = result[name];
    result[name] = isObject(present) && isObject(value) ? overlaid(present, value) : value;
  }
  return result;
}
