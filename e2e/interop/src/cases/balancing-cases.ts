import type { Transfer } from "../harness/transfer.ts";
import {
  act,
  assignment,
  HTTP1_PORTS,
  NOBODY,
  ONE,
  type RoutingAsk,
  type RoutingCase,
  routes,
} from "./routing-cases.ts";

const [A, B, C, D, E, F] = HTTP1_PORTS;
const users: readonly Transfer[] = Array.from({ length: 40 }, (_, index) => ({
  headers: { "x-user": `user-${index}` },
}));
const byUser = { hash_policy: [{ header: { header_name: "x-user" } }] };
const hashed = (name: string, more: object): RoutingCase => ({
  name,
  clusters: { c: { ports: [], more } },
  virtualHost: routes(["/", "c", byUser]),
  asks: users,
});
const five = [A, B, C, D, E].map((port) => [port, true] as const);
const RING = { lb_policy: "RING_HASH" };
const MAGLEV = { lb_policy: "MAGLEV", maglev_lb_config: { table_size: 1009 } };
const weighted = assignment([
  [
    [A, true, { load_balancing_weight: 1 }],
    [B, true, { load_balancing_weight: 3 }],
    [C, true, { load_balancing_weight: 5 }],
  ],
]);
const keyed = assignment([
  [A, B, C].map(
    (port, index) =>
      [port, true, { metadata: { filter_metadata: { "envoy.lb": { hash_key: `key-${index}` } } } }] as const,
  ),
]);
const localities = (weights: readonly (readonly [port: number, weight?: number])[]) => ({
  load_assignment: {
    cluster_name: "c",
    endpoints: weights.map(([port, weight], index) => ({
      locality: { region: `r${index}` },
      ...(weight === undefined ? {} : { load_balancing_weight: weight }),
      lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } }],
    })),
  },
});
const unhealthy = (port: number) => [port, false] as const;
const healthy = (port: number) => [port, true] as const;
const some = (count: number, path = "/"): readonly Transfer[] => Array.from({ length: count }, () => ({ path }));

const ejecting = (more: object) => ({
  max_requests_per_connection: 1,
  common_lb_config: { update_merge_window: "0s" },
  ...RING,
  ...assignment([five]),
  outlier_detection: {
    interval: "3600s",
    base_ejection_time: "3600s",
    max_ejection_percent: 100,
    enforcing_success_rate: 0,
    ...more,
  },
});
const asUser = (user: number, verb = "", path = "/"): Transfer =>
  verb === ""
    ? { path, headers: { "x-user": `user-${user}` } }
    : act(verb, { path, headers: { "x-user": `user-${user}` } });
/** So many failures in a row, after which so many endpoints are ejected. */
const row = (user: number, verb: string, times: number, ejected: number): readonly RoutingAsk[] => [
  ...Array.from({ length: times - 1 }, () => asUser(user, verb)),
  { ...asUser(user, verb), ejected },
];
const spread = users.slice(0, 20);

/** Which endpoint is chosen where that is not chance. */
export const balancingCases: readonly RoutingCase[] = [
  hashed("ring hash", { ...RING, ...assignment([five]) }),
  hashed("ring hash, of another size", {
    ...RING,
    ring_hash_lb_config: { minimum_ring_size: 100, maximum_ring_size: 500 },
    ...assignment([five]),
  }),
  hashed("ring hash with weights", { ...RING, ...weighted }),
  hashed("ring hash by keys of endpoints", { ...RING, ...keyed }),
  hashed("ring hash with one that is ill", {
    ...RING,
    ...assignment([[healthy(A), unhealthy(B), healthy(C), healthy(D), healthy(E)]]),
  }),
  hashed("ring hash, next priority", {
    ...RING,
    ...assignment([
      [unhealthy(A), unhealthy(B)],
      [healthy(C), healthy(D), healthy(E)],
    ]),
  }),
  hashed("ring hash, panic", { ...RING, ...assignment([[unhealthy(A), unhealthy(B), healthy(C)]]) }),
  hashed("maglev", { ...MAGLEV, ...assignment([five]) }),
  hashed("maglev of the usual size", { lb_policy: "MAGLEV", ...assignment([five]) }),
  hashed("maglev with weights", { ...MAGLEV, ...weighted }),
  hashed("maglev by keys of endpoints", { ...MAGLEV, ...keyed }),
  hashed("maglev with one that is ill", {
    ...MAGLEV,
    ...assignment([[healthy(A), unhealthy(B), healthy(C), healthy(D), healthy(E)]]),
  }),
  {
    name: "several hash policies",
    clusters: { c: { ports: [], more: { ...RING, ...assignment([five]) } } },
    virtualHost: routes(
      ["/two", "c", { hash_policy: [{ header: { header_name: "x-user" } }, { header: { header_name: "x-team" } }] }],
      [
        "/terminal",
        "c",
        { hash_policy: [{ header: { header_name: "x-user" }, terminal: true }, { header: { header_name: "x-team" } }] },
      ],
      ["/query", "c", { hash_policy: [{ query_parameter: { name: "u" } }, { header: { header_name: "x-user" } }] }],
      ["/cookie", "c", { hash_policy: [{ cookie: { name: "u" } }] }],
      ["/ip", "c", { hash_policy: [{ connection_properties: { source_ip: true } }] }],
    ),
    asks: users
      .slice(0, 10)
      .flatMap(({ headers }, index) => [
        { path: "/two", headers: { ...headers, "x-team": `t${index % 3}` } },
        { path: "/two", headers: { "x-team": `t${index % 3}` } },
        { path: "/two", headers: headers ?? {} },
        { path: "/terminal", headers: { ...headers, "x-team": `t${index}` } },
        { path: "/terminal", headers: { "x-team": `t${index}` } },
        { path: `/query?u=${index}` },
        { path: `/query?v=1&u=u${index}`, headers: headers ?? {} },
        { path: "/query", headers: headers ?? {} },
        { path: "/cookie", headers: { cookie: `a=1; u=${index}` } },
      ]),
  },
  {
    name: "priorities and panic",
    pool: true,
    clusters: {
      first: { ports: [], more: assignment([[healthy(A)], [healthy(B)]]) },
      "three-of-four": {
        ports: [],
        more: assignment([[healthy(A), healthy(B), healthy(C), unhealthy(NOBODY)], [healthy(NOBODY - 1)]]),
      },
      second: { ports: [], more: assignment([[unhealthy(NOBODY), unhealthy(NOBODY - 1)], [healthy(B)]]) },
      third: { ports: [], more: assignment([[unhealthy(NOBODY)], [unhealthy(NOBODY - 1)], [healthy(C)]]) },
      empty: { ports: [], more: assignment([[]]) },
      panic: { ports: [], more: assignment([[unhealthy(A), unhealthy(B), unhealthy(C)]]) },
      "no-panic": {
        ports: [],
        more: {
          ...assignment([[unhealthy(A), unhealthy(B)]]),
          common_lb_config: { healthy_panic_threshold: { value: 0 } },
        },
      },
      overprovisioned: {
        ports: [],
        more: assignment([[healthy(A), unhealthy(NOBODY)], [healthy(NOBODY - 1)]], { overprovisioning_factor: 200 }),
      },
    },
    virtualHost: routes(
      ["/first", "first"],
      ["/three", "three-of-four"],
      ["/second", "second"],
      ["/third", "third"],
      ["/empty", "empty"],
      ["/panic", "panic"],
      ["/no-panic", "no-panic"],
      ["/over", "overprovisioned"],
    ),
    asks: ["/first", "/three", "/second", "/third", "/empty", "/panic", "/no-panic", "/over"].flatMap((path) =>
      some(6, path),
    ),
  },
  {
    name: "outliers: five hundreds in a row",
    clusters: { c: { ports: [], more: ejecting({ consecutive_5xx: 3 }) } },
    virtualHost: routes(["/", "c", byUser]),
    asks: [
      ...spread,
      asUser(1, "500"),
      asUser(1, "503"),
      // One that is well ends the row.
      asUser(1),
      asUser(1, "500"),
      asUser(1, "500"),
      asUser(1),
      ...row(2, "500", 3, 1),
      ...spread,
      ...row(2, "reset", 3, 2),
      ...spread,
      ...row(2, "502", 3, 3),
      ...spread,
    ],
  },
  {
    name: "outliers: gateway failures, and as many as may be",
    clusters: {
      c: {
        ports: [],
        more: ejecting({
          consecutive_5xx: 100,
          consecutive_gateway_failure: 2,
          enforcing_consecutive_gateway_failure: 100,
          max_ejection_percent: 40,
        }),
      },
    },
    virtualHost: routes(["/", "c", byUser]),
    asks: [
      ...spread,
      ...[asUser(3, "500"), asUser(3, "500"), asUser(3, "500"), ...spread],
      ...[...row(3, "504", 2, 1), ...spread],
      ...[...row(4, "503", 2, 2), ...spread],
      // No more than two of five.
      ...[...row(5, "503", 2, 2), ...spread],
    ],
  },
  {
    name: "outliers: failures of our own are told apart",
    clusters: {
      c: {
        ports: [],
        more: {
          ...ejecting({
            consecutive_5xx: 2,
            split_external_local_origin_errors: true,
            consecutive_local_origin_failure: 2,
          }),
          ...assignment([[healthy(A), healthy(B), healthy(NOBODY), healthy(C)]]),
        },
      },
    },
    virtualHost: routes(["/", "c", byUser]),
    // The sixth is the second that finds nobody there.
    asks: [...spread.slice(0, 5), { ...asUser(5), ejected: 1 }, ...spread.slice(6), ...spread],
  },
  {
    name: "no room in the circuit",
    clusters: {
      pending: { ...ONE, more: { circuit_breakers: { thresholds: [{ max_pending_requests: 0 }] } } },
      requests: { ...ONE, more: { circuit_breakers: { thresholds: [{ max_requests: 0 }] } } },
      connections: { ...ONE, more: { circuit_breakers: { thresholds: [{ max_connections: 0 }] } } },
      h2: { ports: [22_911], http2: true, more: { circuit_breakers: { thresholds: [{ max_requests: 0 }] } } },
    },
    virtualHost: routes(
      ["/pending", "pending"],
      ["/requests", "requests"],
      ["/connections", "connections"],
      ["/h2", "h2"],
    ),
    asks: ["/pending", "/requests", "/connections", "/h2"].flatMap((path) => [
      { path },
      { path, version: "2" },
      { path, headers: { "content-type": "application/grpc" } },
    ]),
  },
  {
    name: "localities by weight, one of them all",
    pool: true,
    clusters: {
      c: {
        ports: [],
        more: { ...localities([[A, 1], [B], [F, 3]]), common_lb_config: { locality_weighted_lb_config: {} } },
      },
    },
    virtualHost: routes(["/", "c"]),
    asks: some(5),
  },
];
