import { defineFlags, type FlagValues } from "@lateen/runtime";

const text = (describe: string, ...env: string[]) => ({ kind: "string", describe, env }) as const;
const required = (describe: string, ...env: string[]) => ({ ...text(describe, ...env), required: true }) as const;

/** Options of the agent. Who the workload is comes from the variables that Istio's injector sets. */
export const flags = defineFlags("agent", {
  runDir: required("directory with token and root-cert.pem; receives certificate, key and the bootstraps"),
  tokenFile: text("where the platform puts the token, if not into the run directory"),
  rootCertFile: text("where the platform puts the root certificate, if not there"),
  discoveryAddress: required("host:port of the xDS server"),
  caAddress: text("host:port of the certificate authority; default: the xDS server", "CA_ADDR"),
  serverName: {
    kind: "string",
    default: "istiod.istio-system.svc",
    describe: "name in the control plane's certificates",
  },
  caServerName: text("name in the certificate authority's certificate; default: that of the control plane"),
  socket: text("where secrets and configuration are served; default: agent.sock in the run directory"),
  role: {
    kind: "choice",
    choices: ["sidecar", "router"],
    default: "sidecar",
    describe: "beside a workload, or a gateway",
  },
  protocol: {
    kind: "choice",
    choices: ["delta", "sotw"],
    default: "delta",
    describe: "variant of ADS that Envoy shall speak: differences, or the state of the world",
  },
  bindAddress: text("where Envoy shall bind what Istio binds at every address; default: at every address"),
  adminAddress: { kind: "string", default: "127.0.0.1", describe: "where Envoy's admin interface shall listen" },
  adminPort: { kind: "number", min: 0, max: 65_535, default: 15_000, describe: "its port; 0: Envoy takes a free one" },
  statsPort: {
    kind: "number",
    min: 0,
    max: 65_535,
    default: 15_090,
    describe: "where Envoy shall serve its statistics; 0: nowhere, and no health either",
  },
  healthPort: {
    kind: "number",
    min: 0,
    max: 65_535,
    default: 15_021,
    describe: "where Envoy shall serve its readiness",
  },
  certTtl: {
    kind: "duration",
    default: "24h",
    describe: "life asked for the workload certificate",
    env: ["SECRET_TTL"],
  },
  podName: required("name of the pod", "POD_NAME"),
  podNamespace: required("namespace of the pod", "POD_NAMESPACE"),
  instanceIp: required("address of the pod", "INSTANCE_IP"),
  serviceAccount: {
    kind: "string",
    default: "default",
    describe: "service account of the pod",
    env: ["SERVICE_ACCOUNT"],
  },
  workloadName: text("name of the workload; default: the pod's", "ISTIO_META_WORKLOAD_NAME"),
  clusterId: { kind: "string", default: "Kubernetes", describe: "cluster of the pod", env: ["ISTIO_META_CLUSTER_ID"] },
  trustDomain: { kind: "string", default: "cluster.local", describe: "SPIFFE trust domain", env: ["TRUST_DOMAIN"] },
  labels: { kind: "string", default: "{}", describe: "labels of the pod, JSON", env: ["ISTIO_METAJSON_LABELS"] },
  proxyConfig: {
    kind: "string",
    default: "{}",
    describe: "Istio's ProxyConfig, JSON; of it, proxyStatsMatcher and runtimeValues go into Envoy's bootstrap",
    env: ["PROXY_CONFIG"],
  },
  podPorts: {
    kind: "string",
    default: "[]",
    describe: "container ports of the pod, JSON",
    env: ["ISTIO_META_POD_PORTS"],
  },
});

/** What the agent was told. */
export type AgentSettings = FlagValues<(typeof flags)["specs"]>;
