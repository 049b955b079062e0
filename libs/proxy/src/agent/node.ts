import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { labelledLocality } from "@lateen/runtime";
import type { WorkloadFacts } from "../config/plan.ts";
import type { AgentConfig, AgentDependencies, ProxyFacts } from "./options.ts";

/** What the data path can carry; without `http2` a control plane sends HTTP/2 ports as opaque TCP. */
export const CAPABILITIES = ["http1", "http2", "tcp", "tls"] as const;
/** Istio version whose metadata conventions these are; control planes choose features by it. */
const ISTIO_VERSION = "1.27.0";

/** `sidecar~10.0.0.1~pod.ns~ns.svc.cluster.local`. */
export function nodeId(facts: ProxyFacts): string {
  const { role, instanceIp, podName, namespace, domain } = facts;
  return `${role}~${instanceIp}~${podName}.${namespace}~${namespace}.svc.${domain}`;
}

/** `app.namespace`, the service cluster that Istio's bootstrap sets. */
export function nodeCluster(facts: ProxyFacts): string {
  return `${facts.labels.app ?? facts.workloadName}.${facts.namespace}`;
}

/**
 * The node as it opens every xDS stream. @see envoy.config.core.v3.Node
 * @param redirected the kernel sends the pod's connections here: its application is where it would be without a proxy.
 */
export function xdsNode(config: AgentConfig, extensions: readonly string[], redirected: boolean): Node {
  const { facts } = config;
  return {
    id: nodeId(facts),
    cluster: nodeCluster(facts),
    metadata: {
      ...facts.metadata,
      NAME: facts.podName,
      NAMESPACE: facts.namespace,
      LABELS: facts.labels,
      SERVICE_ACCOUNT: facts.serviceAccount,
      WORKLOAD_NAME: facts.workloadName,
      CLUSTER_ID: facts.clusterId,
      MESH_ID: facts.meshId,
      INSTANCE_IPS: facts.instanceIp,
      POD_PORTS: JSON.stringify(facts.podPorts),
      ISTIO_VERSION,
      INTERCEPTION_MODE: redirected ? "REDIRECT" : "NONE",
      DNS_CAPTURE: "true",
      LATEEN_VERSION: config.version,
      LATEEN_CAPABILITIES: [...CAPABILITIES],
      LATEEN_EXTENSIONS: [...extensions],
    },
    dynamicParameters: {},
    locality: labelledLocality(facts.labels),
    userAgentName: "lateen",
    userAgentVersionType: { $case: "userAgentVersion", value: config.version },
    extensions: [],
    clientFeatures: [],
    listeningAddresses: [],
  };
}

/**
 * Istio's own filters among ours by name, and all by the type of their configuration: the control plane sends extensions only to
 * proxies that list them.
 */
export function listedExtensions({
  httpFilters,
  networkFilters,
}: Pick<AgentDependencies, "httpFilters" | "networkFilters">): readonly string[] {
  const names = httpFilters.map(({ name }) => name).filter((name) => name.startsWith("istio."));
  const types = [...httpFilters, ...networkFilters].map(({ configType }) => configType);
  return [...names, ...types.map((type) => type.slice(type.lastIndexOf("/") + 1))];
}

/** This workload as metrics and peers see it. */
export function selfFacts(facts: ProxyFacts): WorkloadFacts & { principal: string; nodeId: string } {
  const app = facts.labels.app ?? "";
  return {
    workload: facts.workloadName,
    namespace: facts.namespace,
    app,
    version: facts.labels.version ?? "",
    canonicalService:
      facts.labels["service.istio.io/canonical-name"] ??
      facts.labels["app.kubernetes.io/name"] ??
      (app || facts.workloadName),
    canonicalRevision:
      facts.labels["service.istio.io/canonical-revision"] ??
      facts.labels["app.kubernetes.io/version"] ??
      facts.labels.version ??
      "latest",
    cluster: facts.clusterId,
    principal: spiffeId(facts),
    nodeId: nodeId(facts),
  };
}

/** `spiffe://TRUST_DOMAIN/ns/NS/sa/SA`. */
export function spiffeId(facts: ProxyFacts): string {
  return `spiffe://${facts.trustDomain}/ns/${facts.namespace}/sa/${facts.serviceAccount}`;
}
