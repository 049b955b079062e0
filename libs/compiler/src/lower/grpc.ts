import { packAny, typeUrl } from "@lateen/proto";
import { Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { FilterChain } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import type { RBAC } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import {
  type HeaderMatcher,
  Route,
  RouteAction,
  type VirtualHost,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import { HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import { RBAC as HttpRbac } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import { Router } from "@lateen/proto/envoy/extensions/filters/http/router/v3/router";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { DownstreamTlsContext, UpstreamTlsContext } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";
import type { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import { FAULT_FILTER } from "./faults.ts";
import { HTTP_CONNECTION_MANAGER } from "./filters.ts";
import { adsSource, exactly, socketAddress, typed } from "./proto.ts";
import { ROOT_SECRET, WORKLOAD_SECRET } from "./tls.ts";

/** What gRPC's xDS clients and servers understand of a mesh (gRFCs A27, A28, A29, A36, A41), under Istio's names. */

/** Name of the listener of a gRPC server, up to its address. */
export const GRPC_INBOUND = "xds.istio.io/grpc/lds/inbound/";

const TLS_SOCKET = "envoy.transport_sockets.tls";
/** The one certificate provider of a gRPC bootstrap; it has the workload's certificate and the mesh's roots. */
const PROVIDER = "default";

function httpFilter<T>(
  name: string,
  type: { readonly $type: string; encode(message: T): { finish(): Uint8Array } },
  message: T,
) {
  return { name, configType: typed(type, message), isOptional: false, disabled: false };
}

const router = () => httpFilter("envoy.filters.http.router", Router, Router.fromPartial({}));

/** What a target `host:port` resolves to: its routes by RDS. */
export function grpcApiListener(target: string, routes: string): Listener {
  const manager = HttpConnectionManager.fromPartial({
    statPrefix: target,
    routeSpecifier: { $case: "rds", value: { configSource: adsSource(), routeConfigName: routes } },
    httpFilters: [httpFilter(FAULT_FILTER, HTTPFault, HTTPFault.fromPartial({})), router()],
  });
  return Listener.fromPartial({
    name: target,
    apiListener: { apiListener: packAny(HttpConnectionManager, manager) },
  });
}

/** The listener of a gRPC server: everything is served under the workload's policies, with mesh mTLS where it is demanded. */
export function grpcServerListener(options: {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly strict: boolean;
  readonly rbac: readonly (RBAC | undefined)[];
}): Listener {
  const { name, address, port, strict } = options;
  const rbac = options.rbac.flatMap((rules) =>
    rules === undefined ? [] : [httpFilter("envoy.filters.http.rbac", HttpRbac, HttpRbac.fromPartial({ rules }))],
  );
  const route = Route.fromPartial({
    match: { pathSpecifier: { $case: "prefix", value: "/" } },
    action: { $case: "nonForwardingAction", value: {} },
  });
  const manager = HttpConnectionManager.fromPartial({
    statPrefix: name,
    routeSpecifier: {
      $case: "routeConfig",
      value: { name: `inbound|${port}||`, virtualHosts: [{ name, domains: ["*"], routes: [route] }] },
    },
    httpFilters: [...rbac, router()],
  });
  const context = DownstreamTlsContext.fromPartial({ requireClientCertificate: true, commonTlsContext: commonTls([]) });
  const chain = FilterChain.fromPartial({
    name: `inbound|${port}||`,
    filters: [{ name: HTTP_CONNECTION_MANAGER, configType: typed(HttpConnectionManager, manager) }],
    ...(strict ? { transportSocket: { name: TLS_SOCKET, configType: typed(DownstreamTlsContext, context) } } : {}),
  });
  return Listener.fromPartial({ name, address: socketAddress(address, port), filterChains: [chain] });
}

function commonTls(identities: readonly string[]) {
  return {
    tlsCertificateProviderInstance: { instanceName: PROVIDER, certificateName: WORKLOAD_SECRET },
    validationContextType: {
      $case: "combinedValidationContext",
      value: {
        defaultValidationContext: {
          caCertificateProviderInstance: { instanceName: PROVIDER, certificateName: ROOT_SECRET },
          // The typed form is not looked at.
          matchSubjectAltNames: identities.map((name) => exactly(name)),
        },
      },
    },
  } as const;
}

/**
 * A virtual host as gRPC takes it: found by the target's own name too, with timeouts where gRPC looks for them, without what it would
 * refuse. A route that matches by query parameters or answers itself concerns no gRPC method and is left out.
 */
export function grpcVirtualHost(host: VirtualHost, target: string, port: number): VirtualHost {
  const domains = new Set([target, ...host.domains.flatMap((domain) => [domain, `${domain}:${port}`])]);
  return { ...host, domains: [...domains], routes: host.routes.flatMap(grpcRoute) };
}

function grpcRoute(route: Route): readonly Route[] {
  const { action, match } = route;
  if (action?.$case !== "route" || match === undefined || match.queryParameters.length > 0) return [];
  // Nobody verifies tokens here, and a condition gRPC does not know would count as met.
  if (match.dynamicMetadata.length > 0) return [];
  const { timeout, retryPolicy, clusterSpecifier, hashPolicy } = action.value;
  const fault = route.typedPerFilterConfig[FAULT_FILTER];
  return [
    Route.fromPartial({
      name: route.name,
      match: { ...match, headers: match.headers.map(grpcHeaderMatcher) },
      action: {
        $case: "route",
        value: RouteAction.fromPartial({
          clusterSpecifier,
          hashPolicy,
          ...(timeout === undefined ? {} : { maxStreamDuration: { maxStreamDuration: timeout } }),
          // gRPC refuses a policy that never retries.
          ...(retryPolicy?.numRetries
            ? { retryPolicy: { retryOn: retryPolicy.retryOn, numRetries: retryPolicy.numRetries } }
            : {}),
        }),
      },
      ...(fault === undefined ? {} : { typedPerFilterConfig: { [FAULT_FILTER]: fault } }),
    }),
  ];
}

/** In the older spelling, which all releases of gRPC know. */
function grpcHeaderMatcher(header: HeaderMatcher): HeaderMatcher {
  const match = header.headerMatchSpecifier;
  if (match?.$case !== "stringMatch" || match.value.ignoreCase) return header;
  const older = olderMatcher(match.value);
  return older === undefined ? header : { ...header, headerMatchSpecifier: older };
}

function olderMatcher({ matchPattern }: StringMatcher): HeaderMatcher["headerMatchSpecifier"] {
  switch (matchPattern?.$case) {
    case "exact":
      return { $case: "exactMatch", value: matchPattern.value };
    case "prefix":
      return { $case: "prefixMatch", value: matchPattern.value };
    case "suffix":
      return { $case: "suffixMatch", value: matchPattern.value };
    case "contains":
      return { $case: "containsMatch", value: matchPattern.value };
    case "safeRegex":
      return { $case: "safeRegexMatch", value: matchPattern.value };
    default:
      return undefined;
  }
}

/**
 * A cluster as gRPC takes it: EDS or logical DNS, round robin or a hash ring, mesh mTLS through the certificate provider where a rule
 * demands it. As in Istio there is no automatic mTLS: gRPC cannot choose by endpoint. Undefined for what gRPC cannot do.
 */
export function grpcCluster(cluster: Cluster): Cluster | undefined {
  const discovery = cluster.clusterDiscoveryType;
  const known: readonly Cluster_DiscoveryType[] = [Cluster_DiscoveryType.EDS, Cluster_DiscoveryType.LOGICAL_DNS];
  if (discovery?.$case !== "type" || !known.includes(discovery.value)) return undefined;
  const socket = cluster.transportSocket === undefined ? undefined : grpcClientTls(cluster.transportSocket);
  if (socket === "unknown") return undefined;
  const { name, edsClusterConfig, loadAssignment, circuitBreakers, outlierDetection, lbConfig, metadata } = cluster;
  const hashing = cluster.lbPolicy === Cluster_LbPolicy.RING_HASH;
  return Cluster.fromPartial({
    name,
    clusterDiscoveryType: discovery,
    edsClusterConfig,
    loadAssignment,
    circuitBreakers,
    outlierDetection,
    metadata,
    lbPolicy: hashing ? Cluster_LbPolicy.RING_HASH : Cluster_LbPolicy.ROUND_ROBIN,
    ...(hashing ? { lbConfig } : {}),
    ...(socket === undefined ? {} : { transportSocket: socket }),
  });
}

function grpcClientTls(socket: NonNullable<Cluster["transportSocket"]>): Cluster["transportSocket"] | "unknown" {
  const config = socket.configType?.$case === "typedConfig" ? socket.configType.value : undefined;
  if (config?.typeUrl !== typeUrl(UpstreamTlsContext)) return undefined;
  const tls = UpstreamTlsContext.decode(config.value).commonTlsContext;
  const validation = tls?.validationContextType;
  const own = tls?.tlsCertificateSdsSecretConfigs.every(({ name }) => name === WORKLOAD_SECRET);
  if (!own || validation?.$case !== "combinedValidationContext") return "unknown";
  const { validationContextSdsSecretConfig: roots, defaultValidationContext } = validation.value;
  if (roots?.name !== ROOT_SECRET) return "unknown";
  const names = (defaultValidationContext?.matchTypedSubjectAltNames ?? []).flatMap(({ matcher }) =>
    matcher?.matchPattern?.$case === "exact" ? [matcher.matchPattern.value] : [],
  );
  const context = UpstreamTlsContext.fromPartial({ commonTlsContext: commonTls(names) });
  return { name: TLS_SOCKET, configType: typed(UpstreamTlsContext, context) };
}

/** Endpoints as gRPC takes them: it passes over a locality without a weight, and refuses one without a name. */
export function grpcEndpoints(assignment: ClusterLoadAssignment): ClusterLoadAssignment {
  const endpoints = assignment.endpoints
    .filter(({ lbEndpoints }) => lbEndpoints.length > 0)
    .map((locality) => ({
      ...locality,
      locality: locality.locality ?? { region: "", zone: "", subZone: "" },
      loadBalancingWeight: locality.loadBalancingWeight || locality.lbEndpoints.length,
    }));
  return ClusterLoadAssignment.fromPartial({ ...assignment, endpoints });
}
