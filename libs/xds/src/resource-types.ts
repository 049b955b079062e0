/** Type URLs of the resources that ADS carries. NDS is Istio's DNS name table. */
export const xdsTypes = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
  nds: "type.googleapis.com/istio.networking.nds.v1.NameTable",
  extension: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
} as const;

/** Type URL of requests in which an agent says how its workload is; nothing is ever sent back. */
export const HEALTH_TYPE = "type.googleapis.com/istio.v1.HealthInformation";

/** What is referenced travels before what refers to it (xDS protocol, "Eventual consistency considerations"). */
const ORDER: readonly string[] = [
  xdsTypes.cluster,
  xdsTypes.endpoint,
  xdsTypes.listener,
  xdsTypes.route,
  xdsTypes.secret,
  xdsTypes.extension,
  xdsTypes.nds,
];

/** Position of a type in a push; unknown types come last. */
export function pushOrder(typeUrl: string): number {
  const at = ORDER.indexOf(typeUrl);
  return at < 0 ? ORDER.length : at;
}

const BY_NAME: ReadonlySet<string> = new Set([xdsTypes.endpoint, xdsTypes.route, xdsTypes.secret, xdsTypes.extension]);

/** Whether an empty first subscription means "everything". For types asked for by name it means "nothing yet". */
export function hasImplicitWildcard(typeUrl: string): boolean {
  return !BY_NAME.has(typeUrl);
}

/** Whether a state-of-the-world response must list every resource (an absent one is gone), or may list only changed ones. */
export function isFullState(typeUrl: string): boolean {
  return hasImplicitWildcard(typeUrl);
}

/**
 * Make before break: a resource of this type may refer to resources of these types, so it travels once the client has acknowledged
 * those that are on their way, endpoints of new clusters included. There is no cycle in this table.
 */
const SENT_AFTER: Readonly<Record<string, readonly string[]>> = {
  [xdsTypes.listener]: [xdsTypes.cluster, xdsTypes.endpoint],
  [xdsTypes.route]: [xdsTypes.cluster, xdsTypes.endpoint],
};

export function sentAfter(typeUrl: string): readonly string[] {
  return SENT_AFTER[typeUrl] ?? [];
}

/**
 * Break after make: before a resource of this type is taken away, the client must have acknowledged these types, because their
 * former version may refer to it. There is no cycle in this table.
 */
const REMOVED_AFTER: Readonly<Record<string, readonly string[]>> = {
  [xdsTypes.cluster]: [xdsTypes.listener, xdsTypes.route],
  [xdsTypes.endpoint]: [xdsTypes.listener, xdsTypes.route, xdsTypes.cluster],
  [xdsTypes.route]: [xdsTypes.listener],
  [xdsTypes.extension]: [xdsTypes.listener],
};

export function removedAfter(typeUrl: string): readonly string[] {
  return REMOVED_AFTER[typeUrl] ?? [];
}
