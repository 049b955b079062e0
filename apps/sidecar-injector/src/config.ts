import {
  componentFlags,
  defineFlags,
  type FlagValues,
  identifiedFlags,
  kubernetesFlags,
  portFlag,
} from "@lateen/runtime";

const { host, httpHost, trustDomain, revision, portsFile } = componentFlags;
const text = (describe: string) => ({ kind: "string", describe }) as const;

/** Options of the sidecar injector. Replicas are equal: each answers by itself. */
export const flags = defineFlags("sidecar-injector", {
  ...{ host, httpHost, trustDomain, revision, portsFile },
  ...identifiedFlags,
  injectionConfig: text("file with the injection configuration (key `config` of ConfigMap istio-sidecar-injector)"),
  values: text("file with the values of the installation (key `values` of the same)"),
  meshConfig: text("file with the mesh configuration (key `mesh` of ConfigMap istio)"),
  config: {
    kind: "list",
    describe: "file or directory of YAML with ProxyConfigs to watch, may be repeated; or `kubernetes`, the API server",
  },
  kubernetesVersion: text("version of the cluster, such as 1.34; default: what its API server says"),
  webhook: {
    kind: "list",
    describe: "MutatingWebhookConfiguration that shall trust this injector's certificate; may be repeated",
  },
  ...kubernetesFlags,
  webhookPort: portFlag("webhook over TLS", 15_017),
  metricsPort: portFlag("readiness and metrics", 15_014),
});

export type SidecarInjectorConfig = FlagValues<(typeof flags)["specs"]>;
