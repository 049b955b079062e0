import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { defineQuery } from "../engine/query-engine.ts";
import { type SniTarget, sniCluster } from "../lower/auto-passthrough.ts";
import { discoveryOf } from "../lower/clusters.ts";
import { policyFor } from "../lower/traffic-policy.ts";
import { type EncodedResource, sameJson, sameMap } from "../resource.ts";
import { type NodeScope, scopeKey } from "../scope.ts";
import { destinationPolicy, policyClient } from "../world/destination-rules.ts";
import { gatewaysFor } from "../world/gateways.ts";
import { meshConfigOf } from "../world/services.ts";
import { visibleServices } from "../world/visibility.ts";
import { byName, encode } from "./encode.ts";

/** Destinations that servers of mode AUTO_PASSTHROUGH lead to: all visible ones of the mesh; none without such a server. */
export const sniTargets = defineQuery<NodeScope, readonly SniTarget[]>({
  name: "sniTargets",
  key: scopeKey,
  compute: (read, { client, workload }) => {
    const wanted = read
      .ask(gatewaysFor, workload)
      .some((gateway) => gateway.spec.servers?.some((server) => server.tls?.mode === "AUTO_PASSTHROUGH"));
    if (!wanted) return [];
    const rules = policyClient(read, client);
    return read.ask(visibleServices, client).flatMap((service) => {
      const { host } = service;
      const rule = read.ask(destinationPolicy, { host, client: rules });
      const subsets = ["", ...(rule?.subsets ?? []).map(({ name }) => name)];
      return service.ports.flatMap(({ number: port }) =>
        subsets
          .filter((subset) => discoveryOf(service, policyFor(rule, port, subset), true) === "clientSide")
          .filter(() => !service.meshExternal)
          .map((subset) => ({ host, port, subset })),
      );
    });
  },
  equal: sameJson,
});

/** Clusters of those destinations. */
export const sniClusters = defineQuery<NodeScope, ReadonlyMap<string, EncodedResource>>({
  name: "sniClusters",
  key: scopeKey,
  compute: (read, scope) => {
    const config = meshConfigOf(read);
    const client = policyClient(read, scope.client);
    const clusters = read.ask(sniTargets, scope).map((target) => {
      const rule = read.ask(destinationPolicy, { host: target.host, client });
      return sniCluster(target, policyFor(rule, target.port, target.subset, config.defaultTrafficPolicy), config);
    });
    return byName(clusters.map((cluster) => encode(read, Cluster, cluster.name, cluster)));
  },
  equal: sameMap,
});
