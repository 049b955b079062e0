import { meshConfigFromText } from "../../config/from-config-map.ts";
import { defaultMeshConfig, type MeshConfig } from "../../config/mesh-config.ts";
import { meshNetworksFromText } from "../../config/networks.ts";
import { diagnosticText } from "../../origin.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import type { KindContext } from "../index.ts";
import type { configMapBody } from "./schema.ts";

/** Where Istio's installations keep the mesh configuration. */
const MESH_CONFIG = { namespace: "istio-system", name: "istio" } as const;

/** core/v1 ConfigMap: any data, except that of the mesh configuration, whose keys are read as such. */
export function validateConfigMap(body: Infer<typeof configMapBody>, context: KindContext): void {
  const { namespace, name } = context.metadata;
  if (namespace !== MESH_CONFIG.namespace || name !== MESH_CONFIG.name) return;
  const check = context.check.at("data");
  const config = meshConfigFromText(body.data?.mesh ?? "", "mesh");
  for (const { code, message, path, origin, hint } of config.ok ? [] : config.error) {
    check.at("mesh").error(`line ${origin.line}: ${diagnosticText({ path, message })}`, { code, hint });
  }
  if (config.ok) tellFixed(config.value, check.at("mesh"));
  const networks = meshNetworksFromText(body.data?.meshNetworks ?? "", "meshNetworks");
  for (const { code, message, path, origin, hint } of networks.ok ? [] : networks.error) {
    check.at("meshNetworks").error(`line ${origin.line}: ${diagnosticText({ path, message })}`, { code, hint });
  }
}

/** Settings that are read because installations write them, and that change nothing here. */
function tellFixed({ defaultConfig }: MeshConfig, check: Check): void {
  const { drainDurationMs } = defaultMeshConfig().defaultConfig;
  if (defaultConfig.drainDurationMs !== drainDurationMs) {
    check.warn(
      `defaultConfig.drainDuration has no effect: proxies drain replaced listeners for ${drainDurationMs / 1000} s`,
    );
  }
  if (!defaultConfig.holdApplicationUntilProxyStarts) {
    check.warn(
      "defaultConfig.holdApplicationUntilProxyStarts has no effect: applications always start after their proxy",
    );
  }
}
