import type { Listener } from "../listener/listener.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { BoundAddress } from "./protocol.ts";

/** What `inspect clusters` answers: the endpoints in force with what this worker knows of them. */
export function reportClusters(clusters: Iterable<Cluster>): unknown {
  return Array.from(clusters, (cluster) => ({
    name: cluster.spec.name,
    connections: cluster.connections,
    activeRequests: cluster.activeRequests,
    endpoints: Array.from(cluster.endpoints, (endpoint) => ({
      address: endpoint.spec.address,
      port: endpoint.spec.port,
      healthy: endpoint.healthy,
      ejected: endpoint.ejected,
      counters: { rq_active: endpoint.active, cx_active: endpoint.connectionCount },
    })),
  }));
}

/** What `inspect listeners` answers: the listeners in force, where they are bound, and how many connections each serves. */
export function reportListeners(listeners: Iterable<Listener>, bound: readonly BoundAddress[]): unknown {
  return Array.from(listeners, ({ spec, active }) => ({
    name: spec.name,
    address: spec.address,
    port: spec.port,
    bound: bound.filter(({ listener }) => listener === spec.name).map(({ address, port }) => ({ address, port })),
    activeConnections: active,
  }));
}
