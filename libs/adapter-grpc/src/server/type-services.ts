import { type Logger, systemClock } from "@lateen/kernel";
import type { AdsServer } from "@lateen/ports";
import { AggregatedDiscoveryServiceService } from "@lateen/proto/envoy/service/discovery/v3/ads";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { runDeltaStream, runSotwStream, type StreamContext } from "./ads-service.ts";
import { DeltaEncoder } from "./delta-encoding.ts";
import { SendBudget } from "./send-budget.ts";
import type { Authenticator, DuplexCall, GrpcService } from "./service.ts";

const UNAVAILABLE = 14;

/** The services that carry one type each: package, name, the word in their methods, and the type. */
const TYPES = [
  ["cluster", "Cluster", "Clusters", "envoy.config.cluster.v3.Cluster"],
  ["endpoint", "Endpoint", "Endpoints", "envoy.config.endpoint.v3.ClusterLoadAssignment"],
  ["listener", "Listener", "Listeners", "envoy.config.listener.v3.Listener"],
  ["route", "Route", "Routes", "envoy.config.route.v3.RouteConfiguration"],
  ["secret", "Secret", "Secrets", "envoy.extensions.transport_sockets.tls.v3.Secret"],
] as const;

/**
 * CDS, EDS, LDS, RDS and SDS beside ADS, as streams of both variants. What a type's resources refer to comes on other streams, so nothing
 * is ordered between them; clients that want that use ADS.
 * @see envoy.service.cluster.v3.ClusterDiscoveryService and its siblings
 */
export function typeServices(
  ads: AdsServer,
  authenticator: Authenticator,
  logger: Logger,
  budget: SendBudget = new SendBudget(systemClock()),
): readonly GrpcService[] {
  const { streamAggregatedResources: sotw, deltaAggregatedResources: delta } = AggregatedDiscoveryServiceService;
  const encoder = new DeltaEncoder(systemClock());
  return TYPES.map(([folder, kind, what, type]) => {
    const name = `envoy.service.${folder}.v3.${kind}DiscoveryService`;
    const typeUrl = `type.googleapis.com/${type}`;
    const open: StreamContext["open"] = new Set();
    const context = { authenticator, logger, open, budget, encoder };
    return {
      name,
      definition: {
        [`stream${what}`]: { ...sotw, path: `/${name}/Stream${what}` },
        [`delta${what}`]: { ...delta, path: `/${name}/Delta${what}` },
      },
      implementation: {
        [`stream${what}`]: (call: DuplexCall<DiscoveryRequest>) =>
          void runSotwStream(call, (caller, transport) => ads.openSotw(caller, transport, typeUrl), context),
        [`delta${what}`]: (call: DuplexCall<DeltaDiscoveryRequest>) =>
          void runDeltaStream(call, (caller, transport) => ads.openDelta(caller, transport, typeUrl), context),
      },
      drain: () => {
        for (const end of [...open]) end(UNAVAILABLE, "the server is shutting down");
      },
    } as GrpcService;
  });
}
