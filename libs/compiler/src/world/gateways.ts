import type { Gateway } from "@lateen/mesh-model";
import { annotations } from "../convert/names.ts";
import { defineQuery, type Query } from "../engine/query-engine.ts";
import { labelsMatch } from "../lower/proto.ts";
import { sameList } from "../resource.ts";
import { scopeKey, type WorkloadScope } from "../scope.ts";
import { derivedGateways } from "./converted.ts";
import { servedPorts } from "./inbound.ts";
import { byAge, objectsOf } from "./objects.ts";

/**
 * Gateways that the proxy serves, oldest first: those whose selector selects it, and those made of Gateway API objects whose service
 * it is behind.
 */
export const gatewaysFor: Query<WorkloadScope, readonly Gateway[]> = defineQuery<WorkloadScope, readonly Gateway[]>({
  name: "gatewaysFor",
  key: scopeKey,
  compute: (read, scope) => {
    if (scope.kind !== "router") return [];
    const hosts = new Set<string>(read.ask(servedPorts, scope).map(({ service }) => service.host));
    return byAge([...objectsOf<Gateway>(read, "Gateway"), ...read.ask(derivedGateways, "")]).filter((gateway) => {
      const services = gateway.metadata.annotations?.[annotations.service];
      if (services !== undefined) return services.split(",").some((host) => hosts.has(host));
      return labelsMatch(gateway.spec.selector ?? {}, scope.labels);
    });
  },
  equal: sameList,
});
