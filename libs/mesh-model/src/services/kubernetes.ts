import { keyOf } from "../key.ts";
import type { Resource } from "../kinds/index.ts";
import { DEFAULT_DOMAIN, kubernetesHost } from "./hosts.ts";
import { protocolOf } from "./protocol.ts";
import type { MeshService, MeshServicePort } from "./types.ts";

const EXPORT_TO = "networking.istio.io/exportTo";

/** The mesh's view of a Kubernetes Service. UDP and SCTP ports are left out: they are never proxied. */
export function serviceFromKubernetes(service: Resource<"Service">, domain: string = DEFAULT_DOMAIN): MeshService {
  const { spec, metadata } = service;
  const headless = spec.clusterIP === "None" || spec.clusterIPs?.[0] === "None";
  const alias = spec.type === "ExternalName";
  return {
    host: kubernetesHost(metadata.name, metadata.namespace, domain),
    name: metadata.name,
    namespace: metadata.namespace,
    registry: "Kubernetes",
    ports: servicePorts(service),
    addresses: headless || alias ? [] : [...new Set([...clusterIps(spec), ...(spec.externalIPs ?? [])])],
    resolution: alias ? "alias" : headless ? "passthrough" : "clientSide",
    aliasOf: alias ? spec.externalName?.toLowerCase().replace(/\.$/, "") : undefined,
    meshExternal: false,
    selector:
      alias || spec.selector === undefined || Object.keys(spec.selector).length === 0 ? undefined : spec.selector,
    exportTo: splitList(metadata.annotations?.[EXPORT_TO]),
    subjectAltNames: [],
    ...distributionOf(service),
    ...(spec.internalTrafficPolicy === "Local" ? { nodeLocal: true } : {}),
    publishNotReadyAddresses: spec.publishNotReadyAddresses ?? false,
    headless,
    labels: metadata.labels ?? {},
    createdAt: createdAt(metadata.creationTimestamp),
    source: keyOf(service),
  };
}

const DISTRIBUTION = "networking.istio.io/traffic-distribution";
const DISTRIBUTIONS = ["PreferClose", "PreferSameZone", "PreferSameNode"] as const;

/** Whether it matters to clients of a Service on which machine they are. */
export function isMachineBound(service: Resource<"Service">): boolean {
  const prefers = distributionOf(service).trafficDistribution === "PreferSameNode";
  return prefers || service.spec.internalTrafficPolicy === "Local";
}

/** The annotation wins over the field; unknown values mean any endpoint. */
function distributionOf({ metadata, spec }: Resource<"Service">): Pick<MeshService, "trafficDistribution"> {
  const written = metadata.annotations?.[DISTRIBUTION] ?? spec.trafficDistribution;
  const known = DISTRIBUTIONS.find((name) => name === written);
  return known === undefined ? {} : { trafficDistribution: known };
}

function servicePorts(service: Resource<"Service">): readonly MeshServicePort[] {
  return (service.spec.ports ?? [])
    .filter((port) => (port.protocol ?? "TCP") === "TCP")
    .map((port) => ({
      name: port.name ?? "",
      number: port.port,
      protocol: protocolOf(port.name, port.appProtocol, port.port),
      targetPort: port.targetPort === undefined || port.targetPort === "" ? port.port : port.targetPort,
    }));
}

function clusterIps(spec: Resource<"Service">["spec"]): readonly string[] {
  // An empty one is none yet, as in Kubernetes.
  const listed = (spec.clusterIPs ?? []).filter((address) => address !== "");
  if (listed.length > 0) return listed;
  return spec.clusterIP ? [spec.clusterIP] : [];
}

function splitList(text: string | undefined): readonly string[] {
  return (text ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Epoch milliseconds of an object's creationTimestamp; 0 when unknown or unreadable. */
export function createdAt(timestamp: string | undefined): number {
  const time = timestamp === undefined ? 0 : Date.parse(timestamp);
  return Number.isFinite(time) ? time : 0;
}
