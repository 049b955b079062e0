import { parseServer } from "@lateen/dns";
import { err, ok, type Result } from "@lateen/kernel";
import { defineFlags, environmentMetadata, type Flags, type FlagValues, jsonOf } from "@lateen/runtime";
import { parseAppProbes } from "../admin/app-health.ts";
import { parseAppMetrics } from "../admin/app-metrics.ts";
import { RECENT_REQUESTS } from "../explain/recent-requests.ts";
import { IO_CHOICES, type IoChoice } from "../io/backend.ts";
import { DRAIN_MS } from "../worker/protocol.ts";
import type { AgentConfig, LogLevel, ProxyFacts } from "./options.ts";
import type { PodInfo } from "./pod/pod-info.ts";
import { probeOf } from "./probe-spec.ts";
import { VERSION } from "./version.ts";

/** How one proxy app differs from the others. */
export interface ProxyFlavour {
  readonly program: string;
  readonly role: ProxyFacts["role"];
  /** How long a drain waits for requests in flight, e.g. `5s`. */
  readonly drainTime: string;
}

const port = (describe: string, value: number) =>
  ({ kind: "number", min: 0, max: 65_535, default: value, describe: `${describe}; 0 takes a free port` }) as const;
const text = (describe: string, ...env: string[]) => ({ kind: "string", describe, env }) as const;

/** Options of a proxy app. Who the proxy is comes from the variables that Istio's injector sets. */
export function proxyFlags({ program, role, drainTime }: ProxyFlavour) {
  return defineFlags(program, {
    role: {
      kind: "choice",
      choices: ["sidecar", "router"],
      default: role,
      describe: "beside a workload, or a gateway",
    },
    runDir: text("directory with token and root-cert.pem; receives key.pem, cert-chain.pem and last-good/"),
    tokenFile: text("where the platform puts the token, if not into the run directory"),
    rootCertFile: text("where the platform puts the root certificate, if not into the run directory"),
    podInfo: text("directory with the files labels and annotations of the downward API"),
    clusterDomain: { kind: "string", default: "cluster.local", describe: "domain of Kubernetes services" },
    discoveryAddress: text("host:port of the xDS server"),
    caAddress: text("host:port of the certificate authority; default: the xDS server", "CA_ADDR"),
    telemetryAddress: text("host:port of the access-log service"),
    serverName: {
      kind: "string",
      default: "istiod.istio-system.svc",
      describe: "name in the control plane's certificates",
    },
    caServerName: text("name in the certificate authority's certificate; default: that of the control plane"),
    telemetryServerName: text("name in the access-log service's certificate; default: that of the control plane"),
    capture: text("JSON file that says how traffic reaches the proxy and where listeners bind"),
    envoyConfig: text("Envoy bootstrap (YAML or JSON) with static resources and optionally ADS"),
    adminAddress: text("loopback address of the admin interface; default 127.0.0.1"),
    statusAddress: text("address of status, health and statistics; default: the admin address"),
    adminSocket: text("unix socket on which the admin interface is served as well"),
    adminPort: port("admin interface", 15_000),
    statusPort: port("status of the agent", 15_020),
    healthPort: port("readiness", 15_021),
    statsPort: port("statistics", 15_090),
    dnsCapture: {
      kind: "boolean",
      default: false,
      describe: "answer names of the mesh on the loopback addresses",
      env: ["ISTIO_META_DNS_CAPTURE"],
    },
    dnsPort: port("DNS proxy", 15_053),
    dnsServer: {
      kind: "list",
      describe: "resolver for other names, address[:port]; default: those of /etc/resolv.conf",
    },
    dnsZone: text("domain in which names that the mesh does not know do not exist; default: others are asked"),
    appProbers: {
      kind: "string",
      default: "",
      describe: "probes of the application that the status port makes, JSON",
      env: ["ISTIO_KUBE_APP_PROBERS"],
    },
    appMetrics: {
      kind: "string",
      default: "",
      describe: "where the application serves metrics that the status port gives with the proxy's, JSON",
      env: ["ISTIO_PROMETHEUS_ANNOTATIONS"],
    },
    concurrency: { kind: "number", min: 1, max: 64, default: 1, describe: "data-path threads" },
    maxConnections: { kind: "number", min: 1, default: 20_000, describe: "downstream connections of one thread" },
    recentRequests: {
      kind: "number",
      min: 0,
      max: 10_000,
      default: RECENT_REQUESTS,
      describe: "failed requests that one thread remembers for `lateen explain`; 0: none",
    },
    ioBackend: {
      kind: "choice",
      choices: IO_CHOICES,
      default: "auto",
      describe:
        "how sockets are read and written: by node's stream handles (cheaper), by its public API, or what works",
      env: ["LATEEN_IO_BACKEND"],
    },
    certTtl: {
      kind: "duration",
      default: "24h",
      describe: "life asked for the workload certificate",
      env: ["SECRET_TTL"],
    },
    heapReport: {
      kind: "boolean",
      default: false,
      describe: "serve /memory/threads on the admin interface: collects garbage, for tests of leaks",
    },
    drainDuration: {
      kind: "duration",
      default: "45s",
      describe: "how long connections of a replaced listener may go on; Envoy's --drain-time-s",
    },
    drainTime: { kind: "duration", default: drainTime, describe: "how long a drain waits for requests in flight" },
    logLevel: {
      kind: "choice",
      choices: ["debug", "info", "warn", "error", "silent"],
      default: "info",
      describe: "how much the proxy's own log says",
    },
    podName: text("name of the pod", "POD_NAME"),
    podNamespace: text("namespace of the pod", "POD_NAMESPACE"),
    instanceIp: text("address of the pod", "INSTANCE_IP"),
    serviceAccount: {
      kind: "string",
      default: "default",
      describe: "service account of the pod",
      env: ["SERVICE_ACCOUNT"],
    },
    workloadName: text("name of the workload; default: the pod's", "ISTIO_META_WORKLOAD_NAME"),
    clusterId: {
      kind: "string",
      default: "Kubernetes",
      describe: "cluster of the pod",
      env: ["ISTIO_META_CLUSTER_ID"],
    },
    meshId: text("mesh of the pod; default: the trust domain", "ISTIO_META_MESH_ID"),
    trustDomain: { kind: "string", default: "cluster.local", describe: "SPIFFE trust domain", env: ["TRUST_DOMAIN"] },
    labels: { kind: "string", default: "{}", describe: "labels of the pod, JSON", env: ["ISTIO_METAJSON_LABELS"] },
    proxyConfig: {
      kind: "string",
      default: "{}",
      describe: "Istio's ProxyConfig, JSON; of it, readinessProbe says how the workload is asked whether it is well",
      env: ["PROXY_CONFIG"],
    },
    podPorts: {
      kind: "string",
      default: "[]",
      describe: "container ports of the pod, JSON",
      env: ["ISTIO_META_POD_PORTS"],
    },
  });
}

export type ProxyFlags = ReturnType<typeof proxyFlags>;
type Specs = ProxyFlags extends Flags<infer S> ? S : never;
/** What was given on command line and in variables. */
export interface GivenFlags {
  readonly values: FlagValues<Specs>;
  readonly sources: Readonly<Record<string, string>>;
}

/**
 * The agent's configuration out of the options. With a bootstrap file and nothing else, no ports are opened but those that it or
 * an option names.
 * @param env all variables; `ISTIO_META_*` and `ISTIO_METAJSON_*` go into the node's metadata.
 * @param podInfo what the pod says about itself; labels given as option go before.
 * @returns all problems at once otherwise.
 */
export function proxyAgentConfig(
  { values, sources }: GivenFlags,
  env: Readonly<Record<string, string | undefined>>,
  podInfo: PodInfo = { labels: {}, annotations: {} },
): Result<AgentConfig, readonly string[]> {
  const problems: string[] = [];
  const { discoveryAddress, envoyConfig } = values;
  if (discoveryAddress === undefined && envoyConfig === undefined) {
    problems.push("either --discovery-address or --envoy-config is required");
  }
  if (discoveryAddress !== undefined) {
    for (const [name, value] of [
      ["POD_NAME", values.podName],
      ["POD_NAMESPACE", values.podNamespace],
      ["INSTANCE_IP", values.instanceIp],
      ["--run-dir", values.runDir],
    ]) {
      if (value === undefined) problems.push(`${name} is required with --discovery-address`);
    }
  }
  const facts = proxyFacts(values, env, podInfo, problems);
  const probe = probeOf(jsonOf("PROXY_CONFIG", values.proxyConfig, problems));
  if (!probe.ok) problems.push(`PROXY_CONFIG: ${probe.error}`);
  const withDefault = discoveryAddress !== undefined;
  const portOf = (key: "adminPort" | "statusPort" | "healthPort" | "statsPort") =>
    withDefault || sources[key] !== "default" ? values[key] : undefined;
  const appProbes = parseAppProbes(values.appProbers);
  if (!appProbes.ok) problems.push(`ISTIO_KUBE_APP_PROBERS: ${appProbes.error}`);
  const servers = values.dnsServer.map(parseServer);
  const bad = servers.indexOf(undefined);
  if (bad >= 0) problems.push(`--dns-server: "${values.dnsServer[bad]}" is not address or address:port`);
  if (problems.length > 0) return err(problems);
  return ok({
    adminSocket: values.adminSocket,
    dns: values.dnsCapture
      ? { port: values.dnsPort, servers: servers.filter((server) => server !== undefined), zone: values.dnsZone }
      : undefined,
    appProbes: appProbes.ok ? appProbes.value : new Map(),
    appMetrics: parseAppMetrics(values.appMetrics),
    projected: { tokenFile: values.tokenFile, rootCertFile: values.rootCertFile },
    facts,
    workloadProbe: probe.ok ? probe.value : undefined,
    runDir: values.runDir,
    discoveryAddress,
    caAddress: values.caAddress ?? discoveryAddress,
    telemetryAddress: values.telemetryAddress,
    serverName: values.serverName,
    caServerName: values.caServerName ?? values.serverName,
    telemetryServerName: values.telemetryServerName ?? values.serverName,
    captureFile: values.capture,
    envoyConfigFile: envoyConfig,
    adminAddress: values.adminAddress,
    statusAddress: values.statusAddress,
    adminPort: portOf("adminPort"),
    statusPort: portOf("statusPort"),
    healthPort: portOf("healthPort"),
    statsPort: portOf("statsPort"),
    concurrency: values.concurrency,
    maxConnections: values.maxConnections,
    recentRequests: values.recentRequests,
    io: values.ioBackend as IoChoice,
    certTtlMs: values.certTtl ?? 86_400_000,
    heapReport: values.heapReport,
    drainTimeMs: values.drainTime ?? 5000,
    drainDurationMs: values.drainDuration ?? DRAIN_MS,
    version: VERSION,
    logLevel: values.logLevel as LogLevel,
  });
}

function proxyFacts(
  values: FlagValues<Specs>,
  env: Readonly<Record<string, string | undefined>>,
  podInfo: PodInfo,
  problems: string[],
): ProxyFacts {
  const podName = values.podName ?? "proxy";
  const labels = jsonOf("ISTIO_METAJSON_LABELS", values.labels, problems);
  const podPorts = jsonOf("ISTIO_META_POD_PORTS", values.podPorts, problems);
  if (typeof labels !== "object" || labels === null || Array.isArray(labels)) {
    problems.push("ISTIO_METAJSON_LABELS: must be a JSON object");
  }
  if (!Array.isArray(podPorts)) problems.push("ISTIO_META_POD_PORTS: must be a JSON list");
  return {
    role: values.role === "router" ? "router" : "sidecar",
    podName,
    namespace: values.podNamespace ?? "default",
    instanceIp: values.instanceIp ?? "127.0.0.1",
    serviceAccount: values.serviceAccount,
    workloadName: values.workloadName ?? podName,
    clusterId: values.clusterId,
    meshId: values.meshId ?? values.trustDomain,
    trustDomain: values.trustDomain,
    domain: values.clusterDomain,
    labels: {
      ...podInfo.labels,
      ...Object.fromEntries(Object.entries(labels ?? {}).map(([name, value]) => [name, String(value)])),
    },
    podPorts: Array.isArray(podPorts) ? podPorts : [],
    metadata: {
      ...(Object.keys(podInfo.annotations).length === 0 ? {} : { ANNOTATIONS: podInfo.annotations }),
      ...environmentMetadata(env, problems),
    },
  };
}
