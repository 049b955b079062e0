import { defineFlags, type FlagValues, kubernetesFlags, revisionFlag } from "@lateen/runtime";

const port = (describe: string, value: number) =>
  ({ kind: "number", min: 0, max: 65_535, default: value, describe: `${describe}; 0 takes a free port` }) as const;

/** Options of the control plane. The ports are Istio's; a busy one is replaced by a free one, which `control-plane.json` names. */
export const flags = defineFlags("control-plane", {
  stateDir: {
    kind: "string",
    required: true,
    describe: "where CA, accepted configuration, registry and control socket live",
  },
  config: {
    kind: "list",
    describe:
      "file or directory of YAML to watch, may be repeated; or `kubernetes`, the API server, which then is the store",
  },
  registry: {
    kind: "choice",
    choices: ["file", "kubernetes"],
    default: "file",
    describe: "what runs: registry/pods.json of the state directory, or the services and pods of the API server",
  },
  revision: revisionFlag,
  gatewayCredentials: {
    kind: "boolean",
    default: true,
    describe: "with --registry kubernetes: read the Secrets and ConfigMaps with certificates that configuration names",
  },
  writeStatus: {
    kind: "boolean",
    default: true,
    describe: "with --registry kubernetes: write the status of Gateway API objects and Ingresses; one replica does",
  },
  caStore: {
    kind: "choice",
    choices: ["files", "kubernetes"],
    default: "files",
    describe: "where the CA is kept: ca/ of the state directory, or the Secret cacerts or istio-ca-secret",
  },
  publishRoot: {
    kind: "boolean",
    describe: "keep the ConfigMap istio-ca-root-cert of every namespace of the cluster at the root certificate",
  },
  injectionWebhook: {
    kind: "list",
    describe: "MutatingWebhookConfiguration of the cluster that shall trust our certificate; may be repeated",
  },
  validationWebhook: { kind: "list", describe: "ValidatingWebhookConfiguration likewise" },
  tokenReview: {
    kind: "choice",
    choices: ["key", "kubernetes"],
    default: "key",
    describe: "who says whose a service-account token is: token-pub.pem of the state directory, or the API server",
  },
  ...kubernetesFlags,
  host: { kind: "string", default: "127.0.0.1", describe: "address to listen on" },
  httpHost: { kind: "string", describe: "address of metrics, readiness and debug; default: --host" },
  clusterId: { kind: "string", default: "local", describe: "name of this cluster, a label of every workload" },
  trustDomain: { kind: "string", default: "cluster.local", describe: "SPIFFE trust domain" },
  jwksRefresh: {
    kind: "duration",
    default: "20m",
    describe: "after how long keys of token issuers are fetched anew; at least a second",
  },
  maxCertTtl: { kind: "duration", default: "24h", describe: "longest life of a workload certificate" },
  xdsPort: port("xDS and CA over TLS", 15_012),
  caPort: port("CA over TLS", 8060),
  configPort: port("config distribution over TLS", 9901),
  telemetryPort: port("access-log service over TLS", 9091),
  injectionConfig: { kind: "string", describe: "file with the injection configuration; followed" },
  values: { kind: "string", describe: "file with the values that injection depends on; followed" },
  meshConfig: { kind: "string", describe: "file with the mesh configuration that injection depends on; followed" },
  kubernetesVersion: {
    kind: "string",
    describe:
      "version of the cluster, such as 1.34, for injection; default: what its API server says, if it is asked anything",
  },
  webhookPort: port("webhooks over TLS: injection and validation", 15_017),
  metricsPort: port("metrics of this process", 15_014),
  httpPort: port("readiness and debug", 15_080),
  prometheusPort: port("mesh metrics that mixer aggregated", 42_422),
});

export type ControlPlaneConfig = FlagValues<(typeof flags)["specs"]>;
