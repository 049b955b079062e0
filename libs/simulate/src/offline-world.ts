import { assignClusterIp, keyOf, type Resource } from "@lateen/mesh-model";

type Deployment = Resource<"Deployment">;
type StatefulSet = Resource<"StatefulSet">;
type Pod = Resource<"Pod">;
type Service = Resource<"Service">;
type Labels = Readonly<Record<string, string>>;

const ROOT_NAMESPACE = "istio-system";
/** Label by which clients know that a pod's sidecar speaks mesh mTLS. */
const TLS_MODE = "security.istio.io/tlsMode";

/**
 * The objects of some files as they would look once they run: Services have cluster addresses, every Deployment has one ready pod with
 * a sidecar (unless it says `sidecar.istio.io/inject: "false"`), and the gateways that Gateways select are there. What the files say of these
 * is kept. Depends on the objects only, not on their order.
 */
export function asRunning(objects: readonly Resource[], options: RunningOptions = {}): readonly Resource[] {
  const sorted = [...objects].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return withPods(withServiceAddresses([...sorted, ...builtInGateways(sorted)]), options.addresses ?? new Map());
}

/** What is known of a mesh that runs. */
export interface RunningOptions {
  /** Addresses of pods by `namespace/workload`; others are made up. */
  readonly addresses?: ReadonlyMap<string, string>;
}

/** Services get cluster addresses as an API server would give them. */
export function withServiceAddresses(objects: readonly Resource[]): readonly Resource[] {
  const taken = new Set(objects.flatMap((object) => (object.kind === "Service" ? (object.spec.clusterIP ?? []) : [])));
  return objects.map((object) => {
    if (object.kind !== "Service" || object.spec.type === "ExternalName" || object.spec.clusterIP) return object;
    const clusterIP = assignClusterIp(keyOf(object), taken);
    taken.add(clusterIP);
    return { ...object, spec: { ...object.spec, clusterIP, clusterIPs: [clusterIP] } };
  });
}

function withPods(objects: readonly Resource[], addresses: ReadonlyMap<string, string>): readonly Resource[] {
  const taken = new Set([
    ...addresses.values(),
    ...objects.flatMap((object) => (object.kind === "Pod" ? ipOf(object) : [])),
  ]);
  const pods = objects.flatMap((object) => {
    if ((object.kind !== "Deployment" && object.kind !== "StatefulSet") || object.spec.replicas === 0) return [];
    const labels = object.spec.template.metadata?.labels ?? {};
    const has = objects.some(
      (other) =>
        other.kind === "Pod" &&
        other.metadata.namespace === object.metadata.namespace &&
        Object.entries(labels).every(([key, value]) => other.metadata.labels?.[key] === value),
    );
    if (has) return [];
    const { namespace } = object.metadata;
    return podNamesOf(object).map((name) => {
      const address = addresses.get(`${namespace}/${name}`) ?? podAddress(`Pod/${namespace}/${name}`, taken);
      return podOf(object, name, address);
    });
  });
  return [...objects, ...pods];
}

/** Pods of a StatefulSet that are made up, at most. */
const MAX_MEMBERS = 10;

/** One pod stands for all of a Deployment; those of a StatefulSet can be told apart. */
function podNamesOf(object: Deployment | StatefulSet): readonly string[] {
  const { name } = object.metadata;
  if (object.kind === "Deployment") return [name];
  const { replicas = 1, ordinals } = object.spec;
  return Array.from(
    { length: Math.min(replicas, MAX_MEMBERS) },
    (_, index) => `${name}-${(ordinals?.start ?? 0) + index}`,
  );
}

function ipOf(pod: Pod): readonly string[] {
  const status = (pod.status ?? {}) as { readonly podIP?: unknown };
  return typeof status.podIP === "string" ? [status.podIP] : [];
}

function podOf(owner: Deployment | StatefulSet, name: string, address: string): Pod {
  const { metadata, spec } = owner;
  const { labels = {}, annotations = {} } = spec.template.metadata ?? {};
  const injected = (annotations[INJECT] ?? labels[INJECT]) !== "false" && annotations[TEMPLATES] !== "gateway";
  return runningPod({
    namespace: metadata.namespace,
    name,
    labels: injected ? { [TLS_MODE]: "istio", ...labels } : labels,
    annotations,
    spec: {
      ...spec.template.spec,
      ...(owner.kind === "StatefulSet" ? { hostname: name, subdomain: owner.spec.serviceName ?? "" } : {}),
    },
    address,
  });
}

const INJECT = "sidecar.istio.io/inject";
const TEMPLATES = "inject.istio.io/templates";

function runningPod(pod: {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly spec: Pod["spec"];
  readonly address: string;
}): Pod {
  const { namespace, name, labels, annotations, spec, address } = pod;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, name, labels, annotations },
    spec,
    status: { phase: "Running", podIP: address, conditions: [{ type: "Ready", status: "True" }] },
  };
}

/** In 10.64.0.0/12, from a hash of the pod's key: the same method and number of addresses as for Services. */
function podAddress(key: string, taken: Set<string>): string {
  const free = assignClusterIp(key, new Set([...taken].map(toServiceRange)));
  const address = free.replace(/^10\.(\d+)/, (_, second: string) => `10.${Number(second) - 32}`);
  taken.add(address);
  return address;
}

function toServiceRange(address: string): string {
  return address.replace(/^10\.(\d+)/, (_, second: string) => `10.${Number(second) + 32}`);
}

const GATEWAYS = ["ingressgateway", "egressgateway"] as const;

/** The gateways that every mesh of this project can have, where a Gateway selects one and the files do not declare it. */
function builtInGateways(objects: readonly Resource[]): readonly Resource[] {
  return GATEWAYS.flatMap((istio) => {
    const labels = { app: `istio-${istio}`, istio };
    const selected = objects.some((object) => object.kind === "Gateway" && covers(object.spec.selector, labels));
    const ingress = istio === "ingressgateway" && objects.some(({ kind }) => kind === "Ingress");
    const declared = objects.some(
      (object) =>
        ((object.kind === "Deployment" || object.kind === "StatefulSet") &&
          covers(labels, object.spec.template.metadata?.labels)) ||
        (object.kind === "Pod" && covers(labels, object.metadata.labels)),
    );
    if (declared || !(selected || ingress)) return [];
    const name = `istio-${istio}`;
    const service = objects.some(
      ({ kind, metadata }) => kind === "Service" && metadata.name === name && metadata.namespace === ROOT_NAMESPACE,
    );
    return [...(service ? [] : [gatewayService(name, labels)]), gatewayDeployment(name, labels)];
  });
}

function covers(selector: Labels | undefined, labels: Labels | undefined): boolean {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([key, value]) => labels?.[key] === value);
}

function gatewayService(name: string, selector: Labels): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: ROOT_NAMESPACE, name },
    spec: {
      selector: { ...selector },
      ports: [
        { name: "http2", port: 80, targetPort: 8080 },
        { name: "https", port: 443, targetPort: 8443 },
      ],
    },
  };
}

function gatewayDeployment(name: string, labels: Labels): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace: ROOT_NAMESPACE, name },
    spec: {
      selector: { matchLabels: { ...labels } },
      template: {
        metadata: { name, namespace: ROOT_NAMESPACE, labels, annotations: { [TEMPLATES]: "gateway" } },
        spec: { serviceAccountName: `${name}-service-account`, containers: [{ name: "istio-proxy" }] },
      },
    },
  };
}

/** Whether a pod is a gateway's: what injects gateways says so, and so do the labels of Istio's own two. */
export function isGatewayPod(pod: Pod): boolean {
  const { annotations = {}, labels = {} } = pod.metadata;
  return annotations[TEMPLATES] === "gateway" || GATEWAYS.some((name) => labels.istio === name);
}

/** Whether a pod has a sidecar. */
export function hasSidecar(pod: Pod): boolean {
  return pod.metadata.labels?.[TLS_MODE] === "istio";
}
