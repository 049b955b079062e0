import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import {
  GRPC_INBOUND,
  grpcApiListener,
  grpcCluster,
  grpcEndpoints,
  grpcServerListener,
  grpcVirtualHost,
} from "../lower/grpc.ts";
import { outboundCluster, parseOutboundCluster } from "../lower/names.ts";
import { serviceVirtualHost } from "../lower/virtual-hosts.ts";
import { type EncodedResource, typeUrls } from "../resource.ts";
import { type NodeScope, type ProxyScope, scopeKey } from "../scope.ts";
import { peerPolicy } from "../world/policies.ts";
import { meshConfigOf, settingsOf } from "../world/services.ts";
import { httpRuleFor, visibleService } from "../world/visibility.ts";
import { endpointResource, plainClusters } from "./clusters.ts";
import { accessRules, routeContext } from "./context.ts";
import { encode } from "./encode.ts";

interface GrpcKey {
  readonly scope: NodeScope;
  readonly typeUrl: string;
  readonly name: string;
}

/**
 * One resource of a gRPC library without a proxy (node metadata `GENERATOR: grpc`); undefined when there is none of that name. Such a
 * node names everything it wants: a listener by its target `host:port`, the rest by Istio's cluster names.
 */
export const grpcResource = defineQuery<GrpcKey, EncodedResource | undefined>({
  name: "grpcResource",
  key: ({ scope, typeUrl, name }) => `${typeUrl} ${name} ${scopeKey(scope)}`,
  compute: (read, { scope, typeUrl, name }) => {
    switch (typeUrl) {
      case typeUrls.listener:
        return name.startsWith(GRPC_INBOUND) ? serverListener(read, scope, name) : targetListener(read, scope, name);
      case typeUrls.route:
        return routes(read, scope.client, name);
      case typeUrls.cluster:
        return cluster(read, scope, name);
      case typeUrls.endpoint:
        return endpoints(read, scope, name);
      default:
        return undefined;
    }
  },
});

function targetListener(read: Read, scope: NodeScope, name: string): EncodedResource | undefined {
  const [, host = "", port] = /^(.+):(\d{1,5})$/.exec(name) ?? [];
  const service = serviceNamed(read, scope.client, host);
  if (service === undefined || !service.ports.some(({ number }) => number === Number(port))) return undefined;
  const listener = grpcApiListener(name, outboundCluster(service.host, Number(port)));
  return encode(read, Listener, name, listener);
}

/** The service that a target's host names, which may leave out what is the client's own of namespace and domain. */
function serviceNamed(read: Read, scope: ProxyScope, host: string) {
  const { domain } = settingsOf(read);
  const spellings = [host, `${host}.${scope.namespace}.svc.${domain}`, `${host}.svc.${domain}`, `${host}.${domain}`];
  for (const spelling of spellings) {
    const service = read.ask(visibleService, { scope, host: spelling });
    if (service !== undefined) return service;
  }
  return undefined;
}

function routes(read: Read, scope: ProxyScope, name: string): EncodedResource | undefined {
  const wanted = parseOutboundCluster(name);
  const service = wanted === undefined ? undefined : read.ask(visibleService, { scope, host: wanted.host });
  if (wanted === undefined || service === undefined) return undefined;
  const { host, port } = wanted;
  const virtualHost = serviceVirtualHost(service, {
    ...routeContext(read, scope),
    gateway: "mesh",
    port,
    secure: false,
    rule: read.ask(httpRuleFor, { scope, host }),
  });
  const virtualHosts = [grpcVirtualHost(virtualHost, `${host}:${port}`, port)];
  return encode(read, RouteConfiguration, name, RouteConfiguration.fromPartial({ name, virtualHosts }));
}

function cluster(read: Read, scope: NodeScope, name: string): EncodedResource | undefined {
  const full = read.ask(plainClusters, scope).get(name);
  const adapted = full === undefined ? undefined : grpcCluster(Cluster.decode(full.any.value));
  return adapted === undefined ? undefined : encode(read, Cluster, name, adapted);
}

function endpoints(read: Read, scope: NodeScope, name: string): EncodedResource | undefined {
  const full = endpointResource(read, scope, name);
  if (full === undefined) return undefined;
  return encode(read, ClusterLoadAssignment, name, grpcEndpoints(ClusterLoadAssignment.decode(full.any.value)));
}

function serverListener(read: Read, { workload }: NodeScope, name: string): EncodedResource | undefined {
  const [, address = "", text] = /^\[?(.+?)\]?:(\d{1,5})$/.exec(name.slice(GRPC_INBOUND.length)) ?? [];
  if (address === "") return undefined;
  const policy = read.ask(peerPolicy, { namespace: workload.namespace, labels: workload.labels });
  const { tokenless } = accessRules(read, workload, meshConfigOf(read));
  const strict = (policy.ports[text ?? ""] ?? policy.mode) === "STRICT";
  const listener = grpcServerListener({
    name,
    address,
    port: Number(text),
    strict,
    rbac: [tokenless.deny, tokenless.allow],
  });
  return encode(read, Listener, name, listener);
}
