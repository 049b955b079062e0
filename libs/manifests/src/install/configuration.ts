import { REVISION_LABEL } from "@lateen/mesh-model";
import { hostOf, namesOf } from "./components.ts";
import type { ControlPlaneAddresses } from "./gateways.ts";
import { INSTALL_LABELS, type KubernetesObject, NAMESPACE } from "./objects.ts";
import type { InstallSettings } from "./settings.ts";

/** The mesh configuration, which galley reads, and the injection configuration, which the injector reads. */
export function configurationObjects(
  settings: InstallSettings,
  control: ControlPlaneAddresses,
): readonly KubernetesObject[] {
  const { hub, tag, imagePullPolicy, trustDomain, clusterName, revision } = settings;
  const names = namesOf(settings);
  const labels = { ...INSTALL_LABELS, [REVISION_LABEL]: revision };
  const mesh = {
    trustDomain,
    rootNamespace: NAMESPACE,
    defaultConfig: {
      discoveryAddress: `${hostOf(names.discovery)}:15012`,
      // Read by the proxy as variables.
      proxyMetadata: {
        LATEEN_TELEMETRY_ADDRESS: `${hostOf(control.mixer)}:9091`,
        LATEEN_TELEMETRY_SERVER_NAME: hostOf(names.mixer),
      },
    },
  };
  const values = {
    revision,
    global: {
      hub,
      tag,
      imagePullPolicy,
      istioNamespace: NAMESPACE,
      caAddress: `${hostOf(control.ca)}:${control.caPort}`,
      multiCluster: { clusterName },
    },
  };
  return [
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: names.mesh, namespace: NAMESPACE, labels },
      data: { mesh: pretty(mesh) },
    },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: names.injection, namespace: NAMESPACE, labels },
      data: { config: pretty({ policy: "enabled", defaultTemplates: ["sidecar"] }), values: pretty(values) },
    },
  ];
}

/** JSON is YAML, and anybody can read it. */
function pretty(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
