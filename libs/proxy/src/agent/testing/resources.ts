import { packAny } from "@lateen/proto";
import { Cluster, Cluster_DiscoveryType } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { TcpProxy } from "@lateen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { DownstreamTlsContext } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";

export function edsCluster(name: string, fields: Parameters<typeof Cluster.fromPartial>[0] = {}) {
  const type = { $case: "type" as const, value: Cluster_DiscoveryType.EDS };
  const cluster = Cluster.fromPartial({ name, clusterDiscoveryType: type, ...fields });
  return { name, any: packAny(Cluster, cluster) };
}

export function endpoints(clusterName: string, address: string, port = 80) {
  const socketAddress = { address, portSpecifier: { $case: "portValue" as const, value: port } };
  const assignment = ClusterLoadAssignment.fromPartial({
    clusterName,
    endpoints: [
      {
        lbEndpoints: [
          {
            hostIdentifier: {
              $case: "endpoint",
              value: { address: { address: { $case: "socketAddress", value: socketAddress } } },
            },
          },
        ],
      },
    ],
  });
  return { name: clusterName, any: packAny(ClusterLoadAssignment, assignment) };
}

export function routes(name: string, cluster: string) {
  const table = RouteConfiguration.fromPartial({
    name,
    virtualHosts: [
      {
        name: "all",
        domains: ["*"],
        routes: [
          {
            match: { pathSpecifier: { $case: "prefix", value: "/" } },
            action: { $case: "route", value: { clusterSpecifier: { $case: "cluster", value: cluster } } },
          },
        ],
      },
    ],
  });
  return { name, any: packAny(RouteConfiguration, table) };
}

function socket(port: number) {
  const value = { address: "0.0.0.0", portSpecifier: { $case: "portValue" as const, value: port } };
  return { address: { $case: "socketAddress" as const, value } };
}

/** A listener with an HTTP connection manager that takes its routes from RDS. */
export function httpListener(name: string, routeConfigName: string, port = 9080) {
  const manager = HttpConnectionManager.fromPartial({
    statPrefix: name,
    routeSpecifier: { $case: "rds", value: { routeConfigName } },
    httpFilters: [{ name: "envoy.filters.http.router" }],
  });
  const config = { $case: "typedConfig" as const, value: packAny(HttpConnectionManager, manager) };
  const listener = Listener.fromPartial({
    name,
    address: socket(port),
    filterChains: [{ filters: [{ name: "http", configType: config }] }],
  });
  return { name, any: packAny(Listener, listener) };
}

/** A listener that hands its bytes to a cluster; with `secrets` it terminates mutual TLS. */
export function tcpListener(name: string, cluster: string, secrets?: { certificate: string; trust: string }) {
  const proxy = TcpProxy.fromPartial({ statPrefix: name, clusterSpecifier: { $case: "cluster", value: cluster } });
  const tls = DownstreamTlsContext.fromPartial({
    requireClientCertificate: true,
    commonTlsContext: {
      tlsCertificateSdsSecretConfigs: [{ name: secrets?.certificate ?? "" }],
      validationContextType: {
        $case: "validationContextSdsSecretConfig",
        value: { name: secrets?.trust ?? "" },
      },
    },
  });
  const listener = Listener.fromPartial({
    name,
    address: socket(9000),
    filterChains: [
      {
        filters: [{ name: "tcp", configType: { $case: "typedConfig", value: packAny(TcpProxy, proxy) } }],
        ...(secrets === undefined
          ? {}
          : {
              transportSocket: {
                name: "envoy.transport_sockets.tls",
                configType: { $case: "typedConfig", value: packAny(DownstreamTlsContext, tls) },
              },
            }),
      },
    ],
  });
  return { name, any: packAny(Listener, listener) };
}

export function certificateSecret(name: string, chain: string, key: string) {
  const inline = (value: string) => ({ specifier: { $case: "inlineString" as const, value } });
  const value = { certificateChain: inline(chain), privateKey: inline(key) };
  return { name, any: packAny(Secret, Secret.fromPartial({ name, type: { $case: "tlsCertificate", value } })) };
}
