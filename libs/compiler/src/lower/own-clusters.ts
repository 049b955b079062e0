import type { MeshService } from "@lateen/mesh-model";
import { durationFromMs } from "@lateen/proto";
import { Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { BLACK_HOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, inboundCluster, PASSTHROUGH_CLUSTER } from "./names.ts";

/** Circuit breakers of Envoy cannot be off, only out of reach. */
export const NO_LIMIT = 4_294_967_295;

/** The cluster of one container port: connections go where they were sent to. */
export function inboundServiceCluster(options: {
  readonly port: number;
  readonly services: readonly MeshService[];
  readonly connectTimeoutMs: number;
  /** Stock Envoy binds a loopback address of its own, so that the kernel does not capture its connection again. */
  readonly bindLoopback: boolean;
}): Cluster {
  return Cluster.fromPartial({
    ...originalDestination(inboundCluster(options.port), options.connectTimeoutMs, options.bindLoopback),
    metadata: {
      filterMetadata: {
        istio: {
          services: options.services.map(({ host, name, namespace }) => ({ host, name, namespace })),
        },
      },
    },
  });
}

/** The clusters that every proxy has whatever the mesh: black hole and pass-through, outbound and (sidecars) inbound. */
export function fixedClusters(options: {
  readonly connectTimeoutMs: number;
  readonly inbound: boolean;
  readonly bindLoopback: boolean;
}): readonly Cluster[] {
  const { connectTimeoutMs: timeout, bindLoopback } = options;
  return [
    Cluster.fromPartial({
      name: BLACK_HOLE_CLUSTER,
      clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.STATIC },
      connectTimeout: durationFromMs(timeout),
    }),
    originalDestination(PASSTHROUGH_CLUSTER, timeout, false),
    ...(options.inbound ? [originalDestination(INBOUND_PASSTHROUGH_CLUSTER, timeout, bindLoopback)] : []),
  ];
}

function originalDestination(name: string, connectTimeoutMs: number, bindLoopback: boolean): Cluster {
  return Cluster.fromPartial({
    name,
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    connectTimeout: durationFromMs(connectTimeoutMs),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers: {
      thresholds: [
        {
          maxConnections: NO_LIMIT,
          maxPendingRequests: NO_LIMIT,
          maxRequests: NO_LIMIT,
          maxRetries: NO_LIMIT,
          trackRemaining: true,
        },
      ],
    },
    ...(bindLoopback ? { upstreamBindConfig: { sourceAddress: socketAddressOf("127.0.0.6") } } : {}),
  });
}

function socketAddressOf(address: string) {
  return { address, portSpecifier: { $case: "portValue", value: 0 } as const };
}
