type Json = Readonly<Record<string, unknown>>;

export function configMap(name: string, data: Readonly<Record<string, string>> = {}, namespace = "shop"): Json {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data };
}

export function service(name: string, more: Json = {}, namespace = "shop"): Json {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace },
    spec: { clusterIP: "10.96.0.1", selector: { app: name }, ports: [{ name: "http", port: 80 }], ...more },
  };
}

export function slice(name: string, addresses: readonly string[], namespace = "shop"): Json {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${name}-x1`, namespace, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  };
}

export function pod(name: string, podIP: string, more: { readonly phase?: string } = {}, namespace = "shop"): Json {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      labels: { app: name },
      annotations: { "proxy.istio.io/config": "{}", "tool.example/notes": "long" },
      managedFields: [{ manager: "kubelet" }],
    },
    spec: {
      serviceAccountName: name,
      nodeName: "n1",
      containers: [{ name: "app", image: "app:1", env: [{ name: "A", value: "b" }], ports: [{ containerPort: 8080 }] }],
      initContainers: [{ name: "setup", image: "setup:1" }],
    },
    status: {
      phase: more.phase ?? "Running",
      podIP,
      conditions: [
        { type: "Initialized", status: "True" },
        { type: "Ready", status: "True", lastProbeTime: null },
      ],
    },
  };
}

export function namespace(name: string, labels: Readonly<Record<string, string>> = {}): Json {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

export function node(name: string, zone: string): Json {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { "topology.kubernetes.io/zone": zone, "kubernetes.io/os": "linux" } },
    status: { images: [] },
  };
}

export function virtualService(name: string, host = name, namespace = "shop"): Json {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name, namespace },
    spec: { hosts: [host], http: [{ route: [{ destination: { host } }] }] },
  };
}
