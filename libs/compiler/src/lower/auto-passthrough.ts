import { hostMatches, type MeshConfig } from "@lateen/mesh-model";
import { durationFromMs } from "@lateen/proto";
import { Cluster, Cluster_DiscoveryType } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { poolFields } from "./connection-pools.ts";
import type { PlacedServer } from "./gateway-server.ts";
import { balancer } from "./load-balancing.ts";
import { meshSni } from "./names.ts";
import { outlier } from "./outliers.ts";
import { adsSource } from "./proto.ts";
import { milliseconds, type PolicyBlocks } from "./traffic-policy.ts";

/** A destination that clients of other networks name by SNI. */
export interface SniTarget {
  readonly host: string;
  readonly port: number;
  readonly subset: string;
}

/** The SNI of mesh mTLS to a target, which is the name of its cluster as well. */
export function sniOf({ host, port, subset }: SniTarget): string {
  return meshSni(host, port, subset);
}

/**
 * The cluster that takes mesh mTLS on to a target as it came. It has the endpoints of the ordinary cluster and no transport
 * security of its own: that is between client and server.
 */
export function sniCluster(target: SniTarget, policy: PolicyBlocks, config: MeshConfig): Cluster {
  const timeout = policy.connectionPool?.tcp?.connectTimeout;
  const { outlierDetection } = policy;
  return Cluster.fromPartial({
    name: sniOf(target),
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.EDS },
    ...balancer(policy),
    // A name of its own: an Envoy that has an assignment already does not ask for it again, and a second cluster would wait for ever.
    edsClusterConfig: { edsConfig: adsSource(), serviceName: sniOf(target) },
    connectTimeout: durationFromMs(timeout === undefined ? config.connectTimeoutMs : milliseconds(timeout)),
    ...poolFields(policy),
    ...(outlierDetection === undefined ? {} : { outlierDetection: outlier(outlierDetection) }),
  });
}

/** Targets whose hosts a server names. */
export function targetsOf(placed: PlacedServer, targets: readonly SniTarget[]): readonly SniTarget[] {
  const patterns = placed.server.hosts.map((host) => host.slice(host.indexOf("/") + 1));
  return targets.filter(({ host }) => patterns.some((pattern) => hostMatches(pattern, host)));
}
