import { LayeredMap } from "@lateen/kernel";
import type { MeshConfig, MeshService } from "@lateen/mesh-model";
import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import type { ClientTraits } from "../lower/cluster-context.ts";
import { discoveryOf, serviceClusters } from "../lower/clusters.ts";
import { hasIpAddress, loadAssignment, type PlacedEndpoint, selectEndpoints } from "../lower/endpoints.ts";
import { preservesCase } from "../lower/header-case.ts";
import { failsOver, localitySetting, zoneAwareSetting } from "../lower/load-balancing.ts";
import type { ClientPlace, LocalityPreference } from "../lower/localities.ts";
import { clusterOfSni, parseOutboundCluster } from "../lower/names.ts";
import { throughGateways } from "../lower/networks.ts";
import { fixedClusters, inboundServiceCluster } from "../lower/own-clusters.ts";
import { type PolicyBlocks, policyFor } from "../lower/traffic-policy.ts";
import { type EncodedResource, sameLayers, sameList, sameMap } from "../resource.ts";
import { type NodeScope, type ProxyScope, scopeKey, type WorkloadScope } from "../scope.ts";
import {
  type DestinationPolicy,
  destinationPolicy,
  type PolicyClient,
  policyClient,
  policyClientKey,
  sharedClient,
} from "../world/destination-rules.ts";
import {
  acceptsMtls,
  type Destination,
  destinationByHost,
  endpointsOnPort,
  identitiesOf,
} from "../world/destinations.ts";
import { inboundPorts } from "../world/inbound.ts";
import { networkGateways, networkOf } from "../world/networks.ts";
import { meshConfigOf, serviceFor, settingsOf, workloadMetadata } from "../world/services.ts";
import { BUCKETS, servicesInBucket, visibleServices } from "../world/visibility.ts";
import { sniClusters } from "./auto-passthrough.ts";
import { configMapRoots } from "./credentials.ts";
import { byName, encode } from "./encode.ts";

/** Endpoints of a destination's port that carry a subset's labels, as they are reached from a place. */
function placed(
  read: Read,
  destination: Destination,
  {
    port,
    subset,
    rule,
  }: { readonly port: number; readonly subset: string; readonly rule: DestinationPolicy | undefined },
  place: ClientPlace,
): readonly PlacedEndpoint[] {
  const labels = rule?.subsets.find((candidate) => candidate.name === subset)?.labels ?? {};
  const { clusterId } = settingsOf(read);
  const found = selectEndpoints(endpointsOnPort(read, destination, port), labels);
  const here = destination.backend.nodeLocal
    ? found.filter(({ machine = "" }) => machine === (place.machine ?? ""))
    : found;
  const all = here.map((endpoint) => ({
    endpoint,
    mtls: acceptsMtls(read, endpoint),
    workload: workloadMetadata(endpoint, clusterId),
  }));
  if (place.network === undefined) return all;
  const { defaultTrafficPolicy, enableAutoMtls } = meshConfigOf(read);
  const mode = policyFor(rule, port, subset, defaultTrafficPolicy).tls?.mode;
  return throughGateways(all, {
    client: place.network,
    networkOf: (address) => networkOf(read, address),
    gateways: read.ask(networkGateways, ""),
    mtls: mode === undefined ? enableAutoMtls : mode === "ISTIO_MUTUAL",
  });
}

interface ServicePortKey {
  readonly host: string;
  readonly port: number;
  readonly client: PolicyClient;
  readonly traits: ClientTraits;
  /** Where the client is; matters to clusters that carry their endpoints. */
  readonly place: ClientPlace;
}

/** The clusters of one service port for clients of one namespace: the whole service, then its subsets. */
const clustersOfPort = defineQuery<ServicePortKey, readonly EncodedResource[]>({
  name: "clusters",
  key: ({ host, port, client, traits, place }) =>
    `${host}:${port} ${policyClientKey(client)} ${Object.values(traits).join()} ${placeKey(place)}`,
  compute: (read, { host, port: number, client, traits, place }) => {
    const destination = read.ask(destinationByHost, { host, namespace: client.namespace });
    const port = destination?.service.ports.find((candidate) => candidate.number === number);
    if (destination === undefined || port === undefined) return [];
    const config = meshConfigOf(read);
    const rule = read.ask(destinationPolicy, { host, client });
    return serviceClusters({
      service: destination.service,
      port,
      rule,
      identities: identitiesOf(read, destination),
      config,
      client: traits,
      rootsOf: (name) => read.ask(configMapRoots, name).pem,
      everyEndpointMtls: () => {
        const endpoints = endpointsOnPort(read, destination, number);
        return endpoints.length > 0 && endpoints.every((endpoint) => acceptsMtls(read, endpoint));
      },
      dnsEndpoints: (cluster, subset) =>
        loadAssignment(
          cluster,
          placed(read, destination, { port: number, subset, rule }, place),
          preferenceOf(
            config,
            policyFor(rule, number, subset, config.defaultTrafficPolicy),
            destination.backend,
            place,
          ),
        ),
    }).map((cluster) => encode(read, Cluster, cluster.name, cluster));
  },
  equal: sameList,
});

export const outboundClusters = defineQuery<ProxyScope, ReadonlyMap<string, EncodedResource>>({
  name: "outboundClusters",
  key: scopeKey,
  compute: (read, scope) => {
    const traits = traitsOf(read, scope);
    const client = policyClient(read, scope);
    const here = placeOf(scope);
    const of = (service: MeshService) => {
      const { host } = service;
      const shared = read.ask(sharedClient, { host, client });
      // Endpoints of other kinds of clusters come by EDS.
      const place = carriesEndpoints(service.resolution) ? here : NOWHERE;
      return service.ports.flatMap((port) =>
        read.ask(clustersOfPort, { host, port: port.number, client: shared, traits, place }),
      );
    };
    return byName(read.ask(visibleServices, scope).flatMap(of));
  },
  equal: sameMap,
});

/** Clusters of a proxy's own ports, and those that every proxy has. */
export const ownClusters = defineQuery<WorkloadScope, readonly EncodedResource[]>({
  name: "ownClusters",
  key: scopeKey,
  compute: (read, scope) => {
    const { connectTimeoutMs, inboundTrafficPolicy, defaultConfig } = meshConfigOf(read);
    const preserveCase = preservesCase({ ...defaultConfig, ...scope.own });
    const bindLoopback = !scope.lateen;
    const fixed = fixedClusters({ connectTimeoutMs, inbound: scope.kind === "sidecar", bindLoopback, preserveCase });
    const toLoopback = inboundTrafficPolicy?.mode === "LOCALHOST";
    const inbound = read.ask(inboundPorts, scope).flatMap(({ port, services, ingress, pool }) => {
      // Our own proxies do not connect to Unix sockets.
      if (scope.lateen && ingress?.endpoint?.kind === "unix") return [];
      return inboundServiceCluster({
        port,
        endpoint: ingress?.endpoint ?? (toLoopback ? { kind: "loopback", port } : undefined),
        pool,
        knowsApplication: scope.lateen && scope.redirected !== true,
        preserveCase,
        services: services.map((entry) => entry.service),
        connectTimeoutMs,
        bindLoopback,
      });
    });
    return [...fixed, ...inbound].map((cluster) => encode(read, Cluster, cluster.name, cluster));
  },
  equal: sameList,
});

/** All clusters of a proxy, as nothing patched them. */
export const plainClusters = defineQuery<NodeScope, ReadonlyMap<string, EncodedResource>>({
  name: "plainClusters",
  key: scopeKey,
  compute: (read, scope) =>
    new LayeredMap([
      read.ask(outboundClusters, scope.client),
      byName(read.ask(ownClusters, scope.workload)),
      ...(scope.workload.kind === "router" ? [read.ask(sniClusters, scope)] : []),
    ]),
  equal: sameLayers,
});

interface ServiceKey {
  /** All of it in one text: made once, because there are very many. */
  readonly id: string;
  readonly host: string;
  readonly client: PolicyClient;
  readonly traits: ClientTraits;
  readonly place: ClientPlace;
}

/** Endpoints of the EDS clusters of one service. */
const endpointsOfService = defineQuery<ServiceKey, readonly EncodedResource[]>({
  name: "serviceEndpoints",
  key: ({ id }) => id,
  compute: (read, { host, client, traits, place }) => {
    const service = serviceFor(read, host, client.namespace);
    if (service === undefined) return [];
    const at = carriesEndpoints(service.resolution) ? place : NOWHERE;
    return service.ports
      .flatMap((port) => read.ask(clustersOfPort, { host, port: port.number, client, traits, place: at }))
      .flatMap(({ name }) => endpointsOfCluster(read, { cluster: name, client, router: traits.router, place }) ?? []);
  },
  equal: sameList,
});

/** Endpoints of an EDS cluster as clients of one namespace see it; undefined for clusters of other kinds. */
function endpointsOfCluster(
  read: Read,
  {
    cluster,
    client,
    router,
    place,
  }: {
    readonly cluster: string;
    readonly client: PolicyClient;
    readonly router: boolean;
    readonly place: ClientPlace;
  },
): EncodedResource | undefined {
  const parsed = parseOutboundCluster(cluster);
  const destination =
    parsed === undefined ? undefined : read.ask(destinationByHost, { host: parsed.host, namespace: client.namespace });
  if (parsed === undefined || destination === undefined) return undefined;
  const { host, port, subset } = parsed;
  const config = meshConfigOf(read);
  const rule = read.ask(destinationPolicy, { host, client });
  const policy = policyFor(rule, port, subset, config.defaultTrafficPolicy);
  if (discoveryOf(destination.service, policy, router) !== "clientSide") return undefined;
  const endpoints = placed(read, destination, { port, subset, rule }, place).filter(hasIpAddress);
  const assignment = loadAssignment(cluster, endpoints, preferenceOf(config, policy, destination.backend, place));
  return encode(read, ClusterLoadAssignment, cluster, assignment);
}

function serviceKey(read: Pick<Read, "ask">, scope: ProxyScope, own: PolicyClient, host: string): ServiceKey {
  const client = read.ask(sharedClient, { host, client: own });
  const traits = traitsOf(read, scope);
  const place = placeOf(scope);
  const id = `${host} ${policyClientKey(client)} ${Object.values(traits).join()} ${placeKey(place)}`;
  return { id, host, client, traits, place };
}

const caseOf = defineQuery<string, boolean>({
  name: "caseOf",
  compute: (read) => preservesCase(meshConfigOf(read).defaultConfig),
});

function traitsOf(read: Pick<Read, "ask">, scope: ProxyScope): ClientTraits {
  const { http2, kind, lateen, own } = scope;
  const preserveCase = own?.proxyHeaders === undefined ? read.ask(caseOf, "") : preservesCase(own);
  return { http2, router: kind === "router", lateen, preserveCase };
}

const NOWHERE: ClientPlace = { locality: "", labels: {} };

function placeOf({ locality = "", labels, network, machine }: ProxyScope): ClientPlace {
  return {
    locality,
    labels,
    ...(network === undefined ? {} : { network }),
    ...(machine === undefined ? {} : { machine }),
  };
}

const placeKey = ({ locality, labels, network = "", machine = "" }: ClientPlace): string =>
  `${locality} ${JSON.stringify(labels)} ${network} ${machine}`;

function preferenceOf(
  config: MeshConfig,
  policy: PolicyBlocks,
  service: MeshService,
  client: ClientPlace,
): LocalityPreference {
  return {
    client,
    setting: localitySetting(policy, config, service),
    failover: failsOver(policy, service),
    regions: zoneAwareSetting(policy) !== undefined,
  };
}

function carriesEndpoints(resolution: MeshService["resolution"]): boolean {
  return resolution !== "clientSide" && resolution !== "passthrough";
}

/** Endpoints of one of the proxy's EDS clusters; undefined when it has no such cluster. */
export function endpointResource(
  read: Pick<Read, "ask">,
  scope: NodeScope,
  cluster: string,
): EncodedResource | undefined {
  const sniOf = clusterOfSni(cluster);
  if (sniOf !== undefined) return read.ask(sniEndpoints, scope).get(cluster);
  const host = parseOutboundCluster(cluster)?.host;
  if (host === undefined || !read.ask(outboundClusters, scope.client).has(cluster)) return undefined;
  const key = serviceKey(read, scope.client, policyClient(read, scope.client), host);
  return read.ask(endpointsOfService, key).find(({ name }) => name === cluster);
}

/** The same endpoints once more, under the names of the clusters that an AUTO_PASSTHROUGH server leads to. */
const sniEndpoints = defineQuery<NodeScope, ReadonlyMap<string, EncodedResource>>({
  name: "sniEndpoints",
  key: scopeKey,
  compute: (read, scope) => {
    if (scope.workload.kind !== "router") return new Map();
    const all = [...read.ask(sniClusters, scope).keys()].flatMap((name) => {
      const ordinary = endpointResource(read, scope, clusterOfSni(name) ?? "");
      if (ordinary === undefined) return [];
      const assignment = { ...ClusterLoadAssignment.decode(ordinary.any.value), clusterName: name };
      return encode(read, ClusterLoadAssignment, name, assignment);
    });
    return byName(all);
  },
  equal: sameMap,
});

interface BucketKey {
  readonly scope: ProxyScope;
  readonly bucket: number;
}
const bucketKey = ({ scope, bucket }: BucketKey): string => `${bucket} ${scope.id}`;

/** What to ask for the services of a bucket; endpoints do not matter to it. */
const servicesOfBucket = defineQuery<BucketKey, readonly ServiceKey[]>({
  name: "bucketServices",
  key: bucketKey,
  compute: (read, { scope, bucket }) => {
    const client = policyClient(read, scope);
    return read.ask(servicesInBucket, { scope, bucket }).map(({ host }) => serviceKey(read, scope, client, host));
  },
  equal: (before, after) => before.length === after.length && before.every(({ id }, at) => id === after[at]?.id),
});

/** Endpoints of the EDS clusters of some of a client's services, so that a change of one does not go through all. */
const endpointsInBucket = defineQuery<BucketKey, ReadonlyMap<string, EncodedResource>>({
  name: "bucketEndpoints",
  key: bucketKey,
  compute: (read, key) => byName(read.ask(servicesOfBucket, key).flatMap((one) => read.ask(endpointsOfService, one))),
  equal: sameMap,
});

/** Endpoints of all EDS clusters of outbound traffic, a layer for each bucket. */
const scopeEndpoints = defineQuery<ProxyScope, ReadonlyMap<string, EncodedResource>>({
  name: "scopeEndpoints",
  key: scopeKey,
  compute: (read, scope) =>
    new LayeredMap(Array.from({ length: BUCKETS }, (_, bucket) => read.ask(endpointsInBucket, { scope, bucket }))),
  equal: sameLayers,
});

const gatewayEndpoints = defineQuery<NodeScope, ReadonlyMap<string, EncodedResource>>({
  name: "gatewayEndpoints",
  key: scopeKey,
  compute: (read, scope) => new LayeredMap([read.ask(scopeEndpoints, scope.client), read.ask(sniEndpoints, scope)]),
  equal: sameLayers,
});

/** Endpoints of all EDS clusters of a proxy. */
export function nodeEndpoints(read: Pick<Read, "ask">, scope: NodeScope): ReadonlyMap<string, EncodedResource> {
  if (scope.workload.kind === "router") return read.ask(gatewayEndpoints, scope);
  return read.ask(scopeEndpoints, scope.client);
}
