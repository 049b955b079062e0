import { keyOf } from "../key.ts";
import type { Resource } from "../kinds/index.ts";
import { createdAt } from "./kubernetes.ts";
import { parseProtocol } from "./protocol.ts";
import type { MeshService, MeshServicePort, ServiceHost } from "./types.ts";

type Resolution = MeshService["resolution"];
const RESOLUTIONS: Readonly<Record<string, Resolution>> = {
  NONE: "passthrough",
  STATIC: "clientSide",
  DNS: "dns",
  DNS_ROUND_ROBIN: "dnsRoundRobin",
  DYNAMIC_DNS: "dynamicDns",
};

/** The services a ServiceEntry declares: one for each host, sharing ports, addresses and endpoints. */
export function servicesFromServiceEntry(entry: Resource<"ServiceEntry">): readonly MeshService[] {
  const { spec, metadata } = entry;
  const selector = spec.workloadSelector?.labels;
  const shared = {
    namespace: metadata.namespace,
    registry: "External",
    ports: entryPorts(entry),
    addresses: [...new Set(spec.addresses)],
    resolution: RESOLUTIONS[spec.resolution ?? "NONE"] ?? "passthrough",
    aliasOf: undefined,
    meshExternal: spec.location !== "MESH_INTERNAL",
    selector: selector !== undefined && Object.keys(selector).length > 0 ? selector : undefined,
    exportTo: spec.exportTo ?? [],
    subjectAltNames: spec.subjectAltNames ?? [],
    publishNotReadyAddresses: false,
    headless: false,
    labels: metadata.labels ?? {},
    createdAt: createdAt(metadata.creationTimestamp),
    source: keyOf(entry),
    inlineEndpoints: spec.endpoints ?? [],
  } as const;
  return spec.hosts.map((host) => {
    const lower = host.toLowerCase() as ServiceHost;
    return { ...shared, host: lower, name: lower };
  });
}

function entryPorts(entry: Resource<"ServiceEntry">): readonly MeshServicePort[] {
  return (entry.spec.ports ?? []).map((port) => ({
    name: port.name,
    number: port.number,
    protocol: parseProtocol(port.protocol ?? "") ?? (port.protocol ? "TCP" : "Auto"),
    targetPort: port.targetPort ?? port.number,
  }));
}
