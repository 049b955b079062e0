import type { Component } from "./component.ts";
import { hostOf, namesOf, scraped } from "./components.ts";
import type { Fields } from "./objects.ts";
import type { InstallSettings } from "./settings.ts";

/** Who a gateway finds its control plane at. */
export interface ControlPlaneAddresses {
  /** Service of the CA and of mixer. */
  readonly ca: string;
  readonly caPort: number;
  readonly mixer: string;
}

const plain = (name: string, value: string): Fields => ({ name, value });
const field = (name: string, fieldPath: string): Fields => ({ name, valueFrom: { fieldRef: { fieldPath } } });

/** Own time of the program for draining, and a bit. */
const GRACE_SECONDS = 65;

/** Paths are those of an injected proxy. */
const VOLUMES: Component["volumes"] = [
  { volume: { name: "istio-data", emptyDir: {} }, path: "/var/lib/istio/data" },
  { volume: { name: "istio-envoy", emptyDir: { medium: "Memory", sizeLimit: "64Mi" } }, path: "/etc/istio/proxy" },
  {
    volume: {
      name: "istio-token",
      projected: {
        sources: [{ serviceAccountToken: { audience: "istio-ca", expirationSeconds: 43_200, path: "istio-token" } }],
      },
    },
    path: "/var/run/secrets/tokens",
    readOnly: true,
  },
  {
    volume: { name: "istiod-ca-cert", configMap: { name: "istio-ca-root-cert" } },
    path: "/var/run/secrets/istio",
    readOnly: true,
  },
  {
    volume: {
      name: "istio-podinfo",
      downwardAPI: {
        items: ["labels", "annotations"].map((path) => ({ path, fieldRef: { fieldPath: `metadata.${path}` } })),
      },
    },
    path: "/etc/istio/pod",
    readOnly: true,
  },
];

/** A gateway at the edge of the mesh: the proxy alone, started as an injected one is. */
export function gateway(
  which: "ingress" | "egress",
  settings: InstallSettings,
  control: ControlPlaneAddresses,
  replicas: number,
  most?: number,
): Component {
  const names = namesOf(settings);
  const name = names[which];
  const discovery = `${hostOf(names.discovery)}:15012`;
  return {
    name,
    app: `${which}-gateway`,
    labels: {
      istio: `${which}gateway`,
      "service.istio.io/canonical-name": name,
      "service.istio.io/canonical-revision": "latest",
    },
    serviceAccount: `${name}-service-account`,
    args: ["proxy", "router", "--domain=$(POD_NAMESPACE).svc.cluster.local", "--proxyLogLevel=warning"],
    env: [
      plain("CA_ADDR", `${hostOf(control.ca)}:${control.caPort}`),
      plain("LATEEN_TELEMETRY_ADDRESS", `${hostOf(control.mixer)}:9091`),
      plain("LATEEN_TELEMETRY_SERVER_NAME", hostOf(names.mixer)),
      field("POD_NAME", "metadata.name"),
      field("POD_NAMESPACE", "metadata.namespace"),
      field("INSTANCE_IP", "status.podIP"),
      field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
      field("HOST_IP", "status.hostIP"),
      plain("PROXY_CONFIG", JSON.stringify({ discoveryAddress: discovery })),
      plain("ISTIO_META_CLUSTER_ID", settings.clusterName),
      field("ISTIO_META_NODE_NAME", "spec.nodeName"),
      plain("ISTIO_META_WORKLOAD_NAME", name),
      plain("ISTIO_META_OWNER", `kubernetes://apis/apps/v1/namespaces/istio-system/deployments/${name}`),
      plain("TRUST_DOMAIN", settings.trustDomain),
      plain("ISTIO_META_MESH_ID", settings.trustDomain),
    ],
    ports: [
      { name: "http2", port: 8080 },
      { name: "https", port: 8443 },
      { name: "status-port", port: 15_021 },
      { name: "http-envoy-prom", port: 15_090 },
      { name: "http-agent", port: 15_020 },
    ],
    services: [
      {
        name,
        ...(which === "ingress" ? { type: "LoadBalancer" as const } : {}),
        ports: [
          ...(which === "ingress" ? [{ name: "status-port" }] : []),
          { name: "http2", port: 80 },
          { name: "https", port: 443 },
        ],
      },
    ],
    probes: { ready: { port: 15_021, path: "/healthz/ready" }, live: { port: 15_090, path: "/stats/prometheus" } },
    replicas,
    ...(most === undefined ? {} : { mostReplicas: most }),
    // 101 MB idle, 16 MB for each further worker, 2 KB a connection of which there are 20,000 at most.
    resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } },
    volumes: VOLUMES,
    // A gateway forwards to workloads on any port.
    outgoing: [{ ports: [] }],
    priorityClass: "lateen-gateway",
    podAnnotations: scraped(15_020, "/stats/prometheus"),
    sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }],
    graceSeconds: GRACE_SECONDS,
  };
}
