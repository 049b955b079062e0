import type { MeshService } from "@lateen/mesh-model";
import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import { sortedRecord } from "./proto.ts";

/** A service with the addresses that its name answers with. */
export interface NamedService {
  readonly service: MeshService;
  readonly addresses: readonly string[];
  /** Pods that have a name below the service's. */
  readonly pods: readonly { readonly hostname: string; readonly address: string }[];
}

/** Host names of the mesh and their addresses. Short spellings go along with each host. */
export function nameTable(services: readonly NamedService[]): NameTable {
  const table: NameTable["table"] = {};
  for (const { service, addresses, pods } of services) {
    for (const { hostname, address } of pods) {
      const pod = { ...service, host: `${hostname}.${service.host}`, name: `${hostname}.${service.name}` };
      table[pod.host] = nameInfo(pod, [address]);
    }
    if (addresses.length > 0) table[service.host] = nameInfo(service, addresses);
  }
  return NameTable.fromPartial({ table: sortedRecord(table) });
}

function nameInfo(service: Pick<MeshService, "registry" | "name" | "namespace">, ips: readonly string[]) {
  const { registry, name, namespace } = service;
  const kubernetes = registry === "Kubernetes";
  return {
    ips: [...ips],
    registry,
    shortname: kubernetes ? name : "",
    namespace: kubernetes ? namespace : "",
    altHosts: kubernetes ? [`${name}.${namespace}`, `${name}.${namespace}.svc`] : [],
  };
}
