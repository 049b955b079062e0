import { DISCOVERY, hostOf, NAMES } from "./components.ts";
import type { ControlPlaneAddresses } from "./gateways.ts";
import { INSTALL_LABELS, type KubernetesObject, NAMESPACE } from "./objects.ts";
import type { InstallSettings } from "./settings.ts";

/** The mesh configuration, which galley reads, and the injection configuration, which the injector reads. */
export function configurationObjects(
  settings: InstallSettings,
  control: ControlPlaneAddresses,
): readonly KubernetesObject[] {
  const { hub, tag, imagePullPolicy, trustDomain, clusterName } = settings;
  const mesh = {
    trustDomain,
    rootNamespace: NAMESPACE,
    defaultConfig: {
      discoveryAddress: `${hostOf(DISCOVERY)}:15012`,
      // Read by the proxy as variables.
      proxyMetadata: {
        LATEEN_TELEMETRY_ADDRESS: `${hostOf(control.mixer)}:9091`,
        LATEEN_TELEMETRY_SERVER_NAME: hostOf(NAMES.mixer),
      },
    },
  };
  const values = {
    global: {
      hub,
      tag,
      imagePullPolicy,
      istioNamespace: NAMESPACE,
      caAddress: `${hostOf(control.ca)}:${control.caPort}`,
      multiCluster: { clusterName },
    },
    // A control plane in one process reads the values alone.
    ...(settings.profile === "minimal" ? { meshConfig: mesh } : {}),
  };
  return [
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "istio", namespace: NAMESPACE, labels: INSTALL_LABELS },
      data: { mesh: pretty(mesh) },
    },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "istio-sidecar-injector", namespace: NAMESPACE, labels: INSTALL_LABELS },
      data: { config: pretty({ policy: "enabled", defaultTemplates: ["sidecar"] }), values: pretty(values) },
    },
  ];
}

/** JSON is YAML, and anybody can read it. */
function pretty(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
