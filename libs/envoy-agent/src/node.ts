/** A workload as a proxy that is not ours introduces it. */
export interface StockNode {
  readonly kind: "sidecar" | "router";
  readonly pod: string;
  readonly namespace: string;
  readonly address: string;
  readonly serviceAccount: string;
  readonly workload: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Ports that the pod's containers declare. */
  readonly ports: readonly { readonly name?: string; readonly containerPort: number }[];
  /** Where it runs, as far as that is known. */
  readonly locality?: { readonly region?: string; readonly zone?: string; readonly subZone?: string };
  readonly clusterId: string;
  readonly trustDomain: string;
  /** What else is said of it, under Istio's names; what the fields here say wins. Default nothing. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** DNS domain of Kubernetes services, e.g. `cluster.local`. */
  readonly domain: string;
}

/** Version whose conventions of metadata these are. */
const ISTIO_VERSION = "1.27.0";

/** The xDS node with the metadata that Istio's agents send. `metadata` is added, and wins. */
export function nodeDocument(node: StockNode, metadata: Readonly<Record<string, unknown>> = {}) {
  const { kind, address, pod, namespace, domain, labels } = node;
  return {
    id: `${kind}~${address}~${pod}.${namespace}~${namespace}.svc.${domain}`,
    cluster: `${labels.app ?? node.workload}.${namespace}`,
    // Some gRPC libraries refuse a node without one.
    locality: localityDocument(node.locality ?? {}),
    metadata: {
      INTERCEPTION_MODE: "REDIRECT",
      ...node.metadata,
      NAME: pod,
      NAMESPACE: namespace,
      LABELS: labels,
      SERVICE_ACCOUNT: node.serviceAccount,
      WORKLOAD_NAME: node.workload,
      CLUSTER_ID: node.clusterId,
      MESH_ID: node.trustDomain,
      INSTANCE_IPS: address,
      POD_PORTS: JSON.stringify(node.ports.map((port) => ({ ...port, protocol: "TCP" }))),
      ISTIO_VERSION,
      ...metadata,
    },
  };
}

function localityDocument({ region, zone, subZone }: NonNullable<StockNode["locality"]>) {
  return {
    ...(region === undefined ? {} : { region }),
    ...(zone === undefined ? {} : { zone }),
    ...(subZone === undefined ? {} : { sub_zone: subZone }),
  };
}
