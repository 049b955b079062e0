import type { MeshService } from "@lateen/mesh-model";
import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import { sortedRecord } from "./proto.ts";

/** A service with the addresses that its name answers with. */
export interface NamedService {
  readonly service: MeshService;
  readonly addresses: readonly string[];
}

/** Host names of the mesh and their addresses. Short spellings go along with each host. */
export function nameTable(services: readonly NamedService[]): NameTable {
  const table: NameTable["table"] = {};
  for (const { service, addresses } of services) {
    if (addresses.length === 0) continue;
    const kubernetes = service.registry === "Kubernetes";
    table[service.host] = {
      ips: [...addresses],
      registry: service.registry,
      shortname: kubernetes ? service.name : "",
      namespace: kubernetes ? service.namespace : "",
      altHosts: kubernetes ? [`${service.name}.${service.namespace}`, `${service.name}.${service.namespace}.svc`] : [],
    };
  }
  return NameTable.fromPartial({ table: sortedRecord(table) });
}
