import type { Resource } from "../kinds/index.ts";
import type { workloadEntrySpec } from "../kinds/workload-entry/schema.ts";
import type { Infer } from "../schema/index.ts";
import { mergedPortName } from "./merge.ts";
import type { MeshService, MeshServicePort, ServiceEndpoint, Workload } from "./types.ts";
import { workloadFromPod } from "./workload.ts";
import { isHealthyEntry } from "./workload-group.ts";

type Labels = Readonly<Record<string, string>>;
type WorkloadEntrySpec = Infer<typeof workloadEntrySpec>;

/** The objects of the service's own namespace that can be endpoints. Objects of other namespaces are skipped. */
export interface EndpointWorld {
  readonly pods?: Iterable<Resource<"Pod">>;
  readonly workloadEntries?: Iterable<Resource<"WorkloadEntry">>;
  readonly endpoints?: Iterable<Resource<"Endpoints">>;
  readonly slices?: Iterable<Resource<"EndpointSlice">>;
  /** `region/zone/subzone` of a machine; empty: unknown. */
  readonly nodeLocality?: (node: string) => string;
}

const SERVICE_NAME_LABEL = "kubernetes.io/service-name";
const TLS_MODE_LABEL = "security.istio.io/tlsMode";

/**
 * Every address behind a service, the unready ones included (`ready: false`), in the order of the world. For a Kubernetes
 * Service EndpointSlices win over Endpoints, and those over pods found by the selector; WorkloadEntries that carry the
 * selector's labels are added. For a ServiceEntry: the inline endpoints, else what its selector finds, else (DNS) the host.
 */
export function endpointsOf(service: MeshService, world: EndpointWorld): readonly ServiceEndpoint[] {
  if (service.parts !== undefined) {
    const all = service.parts.flatMap((part) =>
      endpointsOf(part, world).map((endpoint) => ({
        ...endpoint,
        portName: mergedPortName(service, part, endpoint.portName),
      })),
    );
    return unique(all);
  }
  if (service.registry === "External") return entryEndpoints(service, world);
  if (service.resolution === "alias") return [];
  const workloads = workloadsByAddress(service, world);
  const listed = listedEndpoints(service, world, workloads);
  const selected = [
    ...(listed ?? podEndpoints(service, [...workloads.values()])),
    ...selectedWorkloadEntries(service, world),
  ];
  return service.publishNotReadyAddresses
    ? selected.map((endpoint) => (endpoint.ready ? endpoint : { ...endpoint, ready: true }))
    : selected;
}

/** Whether every label of the selector is there with the same value. */
export function labelsMatch(selector: Labels, labels: Labels): boolean {
  for (const key in selector) {
    if (labels[key] !== selector[key]) return false;
  }
  return true;
}

function workloadsByAddress(service: MeshService, world: EndpointWorld): ReadonlyMap<string, Workload> {
  const found = new Map<string, Workload>();
  for (const pod of world.pods ?? []) {
    if (pod.metadata.namespace !== service.namespace) continue;
    const workload = workloadFromPod(pod);
    if (workload !== undefined) found.set(workload.address, placed(workload, world));
  }
  return found;
}

/** Where a machine is counts unless the workload says where it is itself. */
function placed(workload: Workload, world: EndpointWorld): Workload {
  if (!workload.node || localityOf(workload.labels) !== "") return workload;
  const locality = world.nodeLocality?.(workload.node) ?? "";
  return locality === "" ? workload : { ...workload, locality };
}

function podEndpoints(service: MeshService, workloads: readonly Workload[]): readonly ServiceEndpoint[] {
  const { selector } = service;
  if (selector === undefined) return [];
  return workloads
    .filter((workload) => labelsMatch(selector, workload.labels))
    .flatMap((workload) =>
      service.ports.flatMap((port) => {
        const number = resolveTargetPort(port, workload);
        return number === undefined
          ? []
          : [named(service, workload, ofWorkload(workload, port.name, number, workload.ready))];
      }),
    );
}

/** A pod has a name of its own only below the service that its subdomain names. */
function named(service: MeshService, workload: Workload, endpoint: ServiceEndpoint): ServiceEndpoint {
  return workload.named?.subdomain === service.name ? { ...endpoint, hostname: workload.named.hostname } : endpoint;
}

function resolveTargetPort(port: MeshServicePort, workload: Workload): number | undefined {
  if (typeof port.targetPort === "number") return port.targetPort;
  if (/^\d+$/.test(port.targetPort)) return Number(port.targetPort);
  return workload.containerPorts.find((candidate) => candidate.name === port.targetPort)?.port;
}

/** Endpoints written by an endpoint controller; undefined when there is none for this service. */
function listedEndpoints(
  service: MeshService,
  world: EndpointWorld,
  workloads: ReadonlyMap<string, Workload>,
): readonly ServiceEndpoint[] | undefined {
  const build = (address: string, portName: string, number: number, ready: boolean): ServiceEndpoint => {
    const workload = workloads.get(address);
    if (workload !== undefined) return named(service, workload, ofWorkload(workload, portName, number, ready));
    return ofAddress(service, address, portName, number, ready);
  };
  const slices = [...(world.slices ?? [])].filter(
    (slice) =>
      slice.metadata.namespace === service.namespace && slice.metadata.labels?.[SERVICE_NAME_LABEL] === service.name,
  );
  if (slices.length > 0) return unique(slices.flatMap((slice) => sliceEndpoints(service, slice, build)));
  for (const endpoints of world.endpoints ?? []) {
    if (endpoints.metadata.namespace !== service.namespace || endpoints.metadata.name !== service.name) continue;
    return unique(subsetEndpoints(service, endpoints, build));
  }
  return undefined;
}

type Build = (address: string, portName: string, number: number, ready: boolean) => ServiceEndpoint;

function sliceEndpoints(
  service: MeshService,
  slice: Resource<"EndpointSlice">,
  build: Build,
): readonly ServiceEndpoint[] {
  const ports = (slice.ports ?? []).filter((port) => isServicePort(service, port.name, port.protocol));
  return (slice.endpoints ?? []).flatMap((endpoint) => {
    // An absent `ready` means ready (EndpointSlice API).
    const ready = endpoint.conditions?.ready ?? true;
    return endpoint.addresses.flatMap((address) =>
      ports.flatMap((port) => (port.port === undefined ? [] : [build(address, port.name ?? "", port.port, ready)])),
    );
  });
}

function subsetEndpoints(
  service: MeshService,
  endpoints: Resource<"Endpoints">,
  build: Build,
): readonly ServiceEndpoint[] {
  return (endpoints.subsets ?? []).flatMap((subset) => {
    const ports = (subset.ports ?? []).filter((port) => isServicePort(service, port.name, port.protocol));
    const at = (ip: string, ready: boolean) => ports.map((port) => build(ip, port.name ?? "", port.port, ready));
    return [
      ...(subset.addresses ?? []).flatMap((address) => at(address.ip, true)),
      ...(subset.notReadyAddresses ?? []).flatMap((address) => at(address.ip, false)),
    ];
  });
}

function isServicePort(service: MeshService, name: string | undefined, protocol: string | undefined): boolean {
  return (protocol ?? "TCP") === "TCP" && service.ports.some((port) => port.name === (name ?? ""));
}

function unique(endpoints: readonly ServiceEndpoint[]): readonly ServiceEndpoint[] {
  const seen = new Map<string, ServiceEndpoint>();
  for (const endpoint of endpoints) {
    const key = `${endpoint.portName}|${endpoint.address}|${endpoint.port}`;
    if (!seen.has(key)) seen.set(key, endpoint);
  }
  return [...seen.values()];
}

function entryEndpoints(service: MeshService, world: EndpointWorld): readonly ServiceEndpoint[] {
  const inline = service.inlineEndpoints ?? [];
  if (inline.length > 0) {
    return inline.flatMap((entry) => workloadEntryEndpoints(service, entry, service.name, entry.labels ?? {}));
  }
  if (service.selector !== undefined) {
    return [
      ...podEndpoints(service, [...workloadsByAddress(service, world).values()]),
      ...selectedWorkloadEntries(service, world),
    ];
  }
  if (service.resolution !== "dns" && service.resolution !== "dnsRoundRobin") return [];
  if (service.host.startsWith("*")) return [];
  return service.ports.map((port) =>
    ofAddress(service, service.host, port.name, targetNumber(port) ?? port.number, true),
  );
}

function selectedWorkloadEntries(service: MeshService, world: EndpointWorld): readonly ServiceEndpoint[] {
  const { selector } = service;
  if (selector === undefined) return [];
  const found: ServiceEndpoint[] = [];
  for (const entry of world.workloadEntries ?? []) {
    if (entry.metadata.namespace !== service.namespace) continue;
    // Labels of the spec win; those of the metadata count too, as in Istio.
    const labels = { ...entry.metadata.labels, ...entry.spec.labels };
    if (!labelsMatch(selector, labels)) continue;
    const ready = isHealthyEntry(entry);
    const endpoints = workloadEntryEndpoints(service, entry.spec, entry.metadata.name, labels);
    found.push(...(ready ? endpoints : endpoints.map((endpoint) => ({ ...endpoint, ready }))));
  }
  return found;
}

function workloadEntryEndpoints(
  service: MeshService,
  entry: WorkloadEntrySpec,
  workload: string,
  labels: Labels,
): readonly ServiceEndpoint[] {
  const { address } = entry;
  if (address === undefined || address === "") return [];
  return service.ports.flatMap((port) => {
    const number = portNamed(entry, port.name) ?? targetNumber(port) ?? namedPort(entry, port);
    if (number === undefined) return [];
    return [
      {
        ...ofAddress(service, address, port.name, number, true),
        labels,
        serviceAccount: entry.serviceAccount ?? "",
        workload: labels["service.istio.io/workload-name"] ?? workload,
        locality: entry.locality ?? localityOf(labels),
        network: entry.network ?? labels["topology.istio.io/network"] ?? "",
        weight: entry.weight === undefined || entry.weight === 0 ? 1 : entry.weight,
        tlsMode: tlsModeOf(labels),
      },
    ];
  });
}

function targetNumber(port: MeshServicePort): number | undefined {
  return typeof port.targetPort === "number" ? port.targetPort : undefined;
}

function namedPort(entry: WorkloadEntrySpec, port: MeshServicePort): number | undefined {
  return typeof port.targetPort === "string" ? portNamed(entry, port.targetPort) : undefined;
}

/** A port may be called like what every object inherits. */
function portNamed(entry: WorkloadEntrySpec, name: string): number | undefined {
  return entry.ports !== undefined && Object.hasOwn(entry.ports, name) ? entry.ports[name] : undefined;
}

function ofWorkload(workload: Workload, portName: string, port: number, ready: boolean): ServiceEndpoint {
  return {
    address: workload.address,
    port,
    portName,
    ready,
    labels: workload.labels,
    serviceAccount: workload.serviceAccount,
    namespace: workload.namespace,
    workload: workload.name,
    locality: workload.locality ?? localityOf(workload.labels),
    ...(workload.node ? { machine: workload.node } : {}),
    network: workload.labels["topology.istio.io/network"] ?? "",
    weight: 1,
    tlsMode: tlsModeOf(workload.labels),
  };
}

function ofAddress(
  service: MeshService,
  address: string,
  portName: string,
  port: number,
  ready: boolean,
): ServiceEndpoint {
  return {
    address,
    port,
    portName,
    ready,
    labels: {},
    serviceAccount: "",
    namespace: service.namespace,
    workload: "",
    locality: "",
    network: "",
    weight: 1,
    tlsMode: "disabled",
  };
}

function tlsModeOf(labels: Labels): ServiceEndpoint["tlsMode"] {
  return labels[TLS_MODE_LABEL] === "istio" ? "istio" : "disabled";
}

/** `region/zone/subzone` from the labels Istio and Kubernetes use; `istio-locality` writes `.` for `/`. */
export function localityOf(labels: Labels): string {
  const written = labels["istio-locality"];
  if (written) return written.includes("/") ? written : written.replaceAll(".", "/");
  const parts = [
    labels["topology.kubernetes.io/region"] ?? "",
    labels["topology.kubernetes.io/zone"] ?? "",
    labels["topology.istio.io/subzone"] ?? "",
  ];
  while (parts.length > 0 && parts.at(-1) === "") parts.pop();
  return parts.join("/");
}
