import type { Transfer } from "../harness/transfer.ts";

/** A cluster of the scripted application; endpoints are told by port. */
export interface RoutingCluster {
  readonly ports: readonly number[];
  readonly http2?: boolean;
  /** Further fields of the cluster; with `load_assignment` in place of `ports`. */
  readonly more?: object;
}

/** A request, and how many endpoints of the cluster `c` are ejected after it. */
export interface RoutingAsk extends Transfer {
  readonly ejected?: number;
}

/** Clusters, routes to them, and what both proxies are asked, one after the other. */
export interface RoutingCase {
  readonly name: string;
  readonly clusters: Readonly<Record<string, RoutingCluster>>;
  readonly filters?: readonly object[];
  readonly virtualHost: object;
  /** Of the connection manager. */
  readonly more?: object;
  readonly asks: readonly RoutingAsk[];
  /** Which endpoint answers is chance. */
  readonly pool?: boolean;
}

export const HTTP1_PORTS = [22_901, 22_902, 22_903, 22_904, 22_905, 22_906] as const;
export const HTTP2_PORTS = [22_911, 22_912, 22_913] as const;
/** Nobody listens here. */
export const NOBODY = 22_999;

export const ONE: RoutingCluster = { ports: [HTTP1_PORTS[0]] };
export const ONE_HTTP2: RoutingCluster = { ports: [HTTP2_PORTS[0]], http2: true };

/** Routes by prefix, each to a cluster with further fields of its action. */
export const routes = (
  ...list: readonly (readonly [prefix: string, cluster: string, action?: object, route?: object])[]
) => ({
  routes: list.map(([prefix, cluster, action = {}, route = {}]) => ({
    match: { prefix },
    route: { cluster, ...action },
    ...route,
  })),
});

export const act = (verb: string, more: Partial<Transfer> = {}): Transfer => ({
  ...more,
  headers: { "x-do": verb, ...more.headers },
});

/** Endpoints by priority, each with a port and whether it is healthy. */
export const assignment = (
  priorities: readonly (readonly (readonly [port: number, healthy: boolean, more?: object])[])[],
  policy: object = {},
) => ({
  load_assignment: {
    cluster_name: "c",
    policy,
    endpoints: priorities.map((endpoints, priority) => ({
      priority,
      lb_endpoints: endpoints.map(([port, healthy, more = {}]) => ({
        endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
        health_status: healthy ? "HEALTHY" : "UNHEALTHY",
        ...more,
      })),
    })),
  },
});
