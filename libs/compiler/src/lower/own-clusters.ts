import type { MeshService } from "@lateen/mesh-model";
import { durationFromMs } from "@lateen/proto";
import { Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import type { Address } from "@lateen/proto/envoy/config/core/v3/address";
import { downstreamOptions, NO_LIMIT, poolFields } from "./connection-pools.ts";
import type { ConnectionPool, InboundEndpoint } from "./inbound-listener.ts";
import { BLACK_HOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, inboundCluster, PASSTHROUGH_CLUSTER } from "./names.ts";

/** The cluster of one container port: connections go where they were sent to. */
export function inboundServiceCluster(options: {
  readonly port: number;
  readonly services: readonly MeshService[];
  readonly connectTimeoutMs: number;
  /** Stock Envoy binds a loopback address of its own, so that the kernel does not capture its connection again. */
  readonly bindLoopback: boolean;
  /** Where the application is; undefined: where the connection was made to. */
  readonly endpoint?: InboundEndpoint | undefined;
  readonly pool?: ConnectionPool | undefined;
  /** The proxy was told where the application of each container port is. */
  readonly knowsApplication?: boolean;
  readonly preserveCase: boolean;
}): Cluster {
  const cluster = originalDestination(inboundCluster(options.port), options);
  return Cluster.fromPartial({
    ...cluster,
    ...inboundEndpoint(options.endpoint, options.knowsApplication ?? false, cluster.name),
    ...(options.pool === undefined ? {} : poolFields({ connectionPool: options.pool })),
    typedExtensionProtocolOptions: downstreamOptions(options.pool, options.preserveCase),
    metadata: {
      filterMetadata: {
        istio: {
          services: options.services.map(({ host, name, namespace }) => ({ host, name, namespace })),
        },
      },
    },
  });
}

/**
 * An application that a Sidecar says the place of. Where nothing redirects connections our own proxies have been told where the
 * application of a container port is, so for them it is the port alone.
 */
function inboundEndpoint(
  endpoint: InboundEndpoint | undefined,
  knowsApplication: boolean,
  name: string,
): ClusterFields {
  if (endpoint === undefined) return {};
  if (endpoint.kind === "unix") return staticEndpoint(name, { $case: "pipe", value: { path: endpoint.path } });
  if (knowsApplication || endpoint.kind === "pod") {
    return { lbConfig: { $case: "originalDstLbConfig", value: { upstreamPortOverride: endpoint.port } } };
  }
  const value = { address: "127.0.0.1", portSpecifier: { $case: "portValue", value: endpoint.port } } as const;
  return staticEndpoint(name, { $case: "socketAddress", value });
}

type ClusterFields = Parameters<typeof Cluster.fromPartial>[0];
type AddressFields = NonNullable<Parameters<typeof Address.fromPartial>[0]>["address"];

function staticEndpoint(clusterName: string, address: AddressFields): ClusterFields {
  return {
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.STATIC },
    lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
    loadAssignment: {
      clusterName,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { $case: "endpoint", value: { address: { address } } } }] }],
    },
  };
}

/** The clusters that every proxy has whatever the mesh: black hole and pass-through, outbound and (sidecars) inbound. */
export function fixedClusters(options: {
  readonly connectTimeoutMs: number;
  readonly inbound: boolean;
  readonly bindLoopback: boolean;
  readonly preserveCase: boolean;
}): readonly Cluster[] {
  const { connectTimeoutMs: timeout } = options;
  return [
    Cluster.fromPartial({
      name: BLACK_HOLE_CLUSTER,
      clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.STATIC },
      connectTimeout: durationFromMs(timeout),
    }),
    originalDestination(PASSTHROUGH_CLUSTER, { ...options, bindLoopback: false }),
    ...(options.inbound ? [originalDestination(INBOUND_PASSTHROUGH_CLUSTER, options)] : []),
  ];
}

function originalDestination(
  name: string,
  {
    connectTimeoutMs,
    bindLoopback,
    preserveCase,
  }: { readonly connectTimeoutMs: number; readonly bindLoopback: boolean; readonly preserveCase: boolean },
): Cluster {
  return Cluster.fromPartial({
    name,
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    connectTimeout: durationFromMs(connectTimeoutMs),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    // A gRPC application gets HTTP/2 from its proxy because its client spoke it.
    typedExtensionProtocolOptions: downstreamOptions(undefined, preserveCase),
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
