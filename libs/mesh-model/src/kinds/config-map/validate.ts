import { withoutEffect } from "../../config/annotation.ts";
import { meshConfigFromText } from "../../config/from-config-map.ts";
import { meshNetworksFromText } from "../../config/networks.ts";
import { diagnosticText } from "../../origin.ts";
import type { Infer } from "../../schema/index.ts";
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
  for (const message of config.ok ? withoutEffect(config.value) : []) check.at("mesh").warn(`defaultConfig.${message}`);
  const networks = meshNetworksFromText(body.data?.meshNetworks ?? "", "meshNetworks");
  for (const { code, message, path, origin, hint } of networks.ok ? [] : networks.error) {
    check.at("meshNetworks").error(`line ${origin.line}: ${diagnosticText({ path, message })}`, { code, hint });
  }
}
