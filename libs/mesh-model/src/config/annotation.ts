import { diagnosticText } from "../origin.ts";
import type { Check } from "../validation/check.ts";
import { meshConfigFromText } from "./from-config-map.ts";
import type { BootstrapField, MeshConfig, ProxyDefaults } from "./mesh-config.ts";

/** Annotation of pods with a ProxyConfig in YAML, over the mesh's `defaultConfig`. */
export const PROXY_CONFIG_ANNOTATION = "proxy.istio.io/config";

/**
 * What holds for one proxy: `text` (YAML or JSON of a ProxyConfig) over the mesh's `defaultConfig`. Undefined: it cannot be read, and
 * says nothing.
 */
export function proxyDefaultsWith(text: string, config: MeshConfig): ProxyDefaults | undefined {
  const read = meshConfigFromText(`defaultConfig:\n${text.replaceAll(/^/gm, "  ")}`, PROXY_CONFIG_ANNOTATION, config);
  return read.ok ? read.value.defaultConfig : undefined;
}

/** Warns about settings of a pod's proxy that cannot be read: they say nothing, and the pod starts all the same. */
export function checkProxyConfigAnnotation(
  annotations: Readonly<Record<string, string>> | undefined,
  check: Check,
): void {
  const text = annotations?.[PROXY_CONFIG_ANNOTATION];
  if (text === undefined) return;
  const at = check.at("annotations", PROXY_CONFIG_ANNOTATION);
  const config = meshConfigFromText(`defaultConfig:\n${text.replaceAll(/^/gm, "  ")}`, PROXY_CONFIG_ANNOTATION);
  if (config.ok) {
    for (const message of withoutEffect(config.value)) at.warn(message);
    return;
  }
  const reasons = config.error.map(({ path, message }) =>
    diagnosticText({ path: path.replace(/^defaultConfig\.?/, ""), message }),
  );
  at.warn(`it cannot be read, so nothing of it is in force: ${reasons.join("; ")}`);
}

const INSTEAD: Readonly<Record<BootstrapField, string>> = {
  proxyStatsMatcher:
    "has an effect in bootstraps of stock Envoys only: proxies of ours have all their statistics, within bounds",
  extraStatTags: "has no effect: tagOverrides of a Telemetry object change the labels of metrics",
  runtimeValues: "has an effect in bootstraps of stock Envoys only: proxies of ours have no runtime values",
};

/** Settings that are read because installations write them, and that change nothing here. */
export function withoutEffect({ defaultConfig }: MeshConfig): readonly string[] {
  return [
    ...(defaultConfig.holdApplicationUntilProxyStarts
      ? []
      : [
          "holdApplicationUntilProxyStarts has an effect in injected pods only: on one machine applications always start after their proxy",
        ]),
    ...(defaultConfig.unused ?? []).map((field) => `${field} ${INSTEAD[field]}`),
  ];
}
