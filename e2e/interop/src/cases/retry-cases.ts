import type { Transfer } from "../harness/transfer.ts";
import { act, HTTP1_PORTS, NOBODY, ONE, ONE_HTTP2, type RoutingCase, routes } from "./routing-cases.ts";

/** No connection is used again: on those that are, ours repeats by itself what is harmless to repeat. */
const FRESH = { ...ONE, more: { max_requests_per_connection: 1 } };
const quick = { retry_back_off: { base_interval: "0.001s", max_interval: "0.002s" } };
const retry = (retry_on: string, num_retries = 2, more: object = {}) => ({
  retry_policy: { retry_on, num_retries, ...quick, ...more },
});
const counted = { include_request_attempt_count: true };
const post = (verb: string, path = "/"): Transfer => act(verb, { method: "POST", body: "some text", path });
const FAILURES = ["500", "502", "503", "409", "429", "503-retriable", "reset", "cut"];
const failures = (path: string) =>
  FAILURES.flatMap((verb) => [1, 2, 3].map((times) => act(`${verb}=${times}`, { path })));

/** How often an upstream that fails so many times is asked, and what the client gets in the end. */
export const retryCases: readonly RoutingCase[] = [
  ...(
    [
      ["HTTP/1", FRESH],
      ["HTTP/2", ONE_HTTP2],
    ] as const
  ).map(([name, cluster]) => ({
    name: `retries over ${name}, by condition`,
    clusters: { c: cluster },
    virtualHost: {
      ...counted,
      ...routes(
        ["/5xx", "c", retry("5xx")],
        ["/gateway-error", "c", retry("gateway-error")],
        ["/reset-before-request", "c", retry("reset-before-request")],
        ["/reset", "c", retry("reset")],
        ["/connect-failure", "c", retry("connect-failure,refused-stream")],
        ["/retriable-4xx", "c", retry("retriable-4xx")],
        ["/codes", "c", retry("retriable-status-codes", 2, { retriable_status_codes: [503, 429] })],
        ["/ratelimited", "c", retry("envoy-ratelimited")],
        ["/none", "c"],
      ),
    },
    asks: [
      "/5xx",
      "/gateway-error",
      "/reset-before-request",
      "/reset",
      "/connect-failure",
      "/retriable-4xx",
      "/codes",
      "/ratelimited",
      "/none",
    ].flatMap(failures),
  })),
  {
    name: "retries with bodies, and refused streams",
    clusters: { c: FRESH, h2: ONE_HTTP2 },
    virtualHost: {
      ...counted,
      ...routes(
        ["/h2/5xx", "h2", retry("5xx")],
        ["/h2/refused", "h2", retry("refused-stream")],
        ["/h2", "h2"],
        ["/5xx", "c", retry("5xx")],
        ["/", "c"],
      ),
    },
    asks: [
      ...["503=1", "503=2", "503=3", "reset=1", "reset=3"].flatMap((verb) => [
        post(verb, "/5xx"),
        post(verb, "/h2/5xx"),
      ]),
      ...["refuse=9"].flatMap((verb) => [
        act(verb, { path: "/h2/5xx" }),
        act(verb, { path: "/h2/refused" }),
        post(verb, "/h2/refused"),
        act(verb, { path: "/h2" }),
      ]),
      post("503=1", "/5xx"),
      { ...post("503=1", "/5xx"), version: "2" },
    ],
  },
  {
    name: "retries that requests ask for",
    clusters: { c: ONE },
    virtualHost: { ...counted, ...routes(["/policy", "c", retry("5xx", 1)], ["/", "c"]) },
    asks: ["/", "/policy"].flatMap((path) =>
      [
        { "x-envoy-retry-on": "5xx" },
        { "x-envoy-retry-on": "5xx", "x-envoy-max-retries": "2" },
        { "x-envoy-max-retries": "2" },
        { "x-envoy-retry-on": "gateway-error", "x-envoy-max-retries": "3" },
        { "x-envoy-retry-on": "retriable-status-codes", "x-envoy-retriable-status-codes": "500,409" },
        { "x-envoy-retry-on": "nonsense", "x-envoy-max-retries": "x" },
      ].flatMap((headers) => [
        act("500=1", { path, headers }),
        act("500=2", { path, headers }),
        act("503=3", { path, headers }),
      ]),
    ),
  },
  {
    name: "gRPC's retries",
    clusters: { c: ONE_HTTP2 },
    virtualHost: {
      ...counted,
      ...routes(
        ["/unavailable", "c", retry("unavailable")],
        ["/cancelled", "c", retry("cancelled,deadline-exceeded")],
        ["/5xx", "c", retry("5xx")],
        ["/", "c"],
      ),
    },
    asks: ["/unavailable", "/cancelled", "/5xx", "/none"].flatMap((path) =>
      ["grpc-fail=1", "grpc-only-fail=1", "grpc-only-fail=3", "503=1", "grpc=0", "grpc=14", "grpc-only=14"].map(
        (verb) =>
          act(verb, {
            path,
            version: "2",
            method: "POST",
            headers: { "content-type": "application/grpc", te: "trailers" },
            body: "x",
          }),
      ),
    ),
  },
  {
    name: "timeouts of requests and of attempts",
    clusters: { c: ONE, h2: ONE_HTTP2 },
    virtualHost: {
      ...counted,
      ...routes(
        ["/try", "c", { ...retry("5xx", 2, { per_try_timeout: "1s" }), timeout: "30s" }],
        ["/h2/try", "h2", { ...retry("5xx", 2, { per_try_timeout: "1s" }), timeout: "30s" }],
        ["/thrice", "c", { ...retry("5xx", 2, { per_try_timeout: "0.1s" }), timeout: "30s" }],
        ["/once", "c", { ...retry("gateway-error", 1, { per_try_timeout: "0.1s" }), timeout: "10s" }],
        ["/reset", "c", { ...retry("reset", 1, { per_try_timeout: "0.1s" }), timeout: "10s" }],
        ["/short", "c", { timeout: "0.15s" }],
        ["/h2/short", "h2", { timeout: "0.15s" }],
      ),
    },
    asks: [
      ...["/try", "/h2/try"].map((path) => act("silence=1", { path })),
      ...["/thrice", "/once", "/reset"].map((path) => act("silence=9", { path })),
      act("silence=9", { path: "/short" }),
      act("silence=9", { path: "/h2/short" }),
      act("silence=9", { path: "/short", version: "2" }),
      act("silence=9", { path: "/short", headers: { "content-type": "application/grpc" } }),
    ],
  },
  {
    name: "retries of connections that are refused, elsewhere",
    clusters: {
      nobody: { ports: [NOBODY] },
      half: {
        ports: [NOBODY, HTTP1_PORTS[0]],
        more: { lb_policy: "RING_HASH" },
      },
    },
    virtualHost: {
      ...counted,
      ...routes(
        ["/none", "nobody"],
        ["/nobody", "nobody", retry("connect-failure")],
        [
          "/half",
          "half",
          {
            ...retry("connect-failure", 3, {
              retry_host_predicate: [
                {
                  name: "envoy.retry_host_predicates.previous_hosts",
                  typed_config: {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                  },
                },
              ],
              host_selection_retry_max_attempts: 5,
            }),
            hash_policy: [{ header: { header_name: "x-user" } }],
          },
        ],
      ),
    },
    asks: [
      { path: "/none" },
      { path: "/nobody" },
      { path: "/nobody", version: "2" },
      { path: "/nobody", headers: { "content-type": "application/grpc" } },
    ],
  },
  {
    name: "no room for retries",
    clusters: {
      none: { ...ONE, more: { circuit_breakers: { thresholds: [{ max_retries: 0 }] } } },
      budget: {
        ...ONE,
        more: {
          circuit_breakers: {
            thresholds: [{ retry_budget: { budget_percent: { value: 0 }, min_retry_concurrency: 0 } }],
          },
        },
      },
      least: {
        ...ONE,
        more: {
          circuit_breakers: {
            thresholds: [{ retry_budget: { budget_percent: { value: 0 }, min_retry_concurrency: 1 } }],
          },
        },
      },
    },
    virtualHost: {
      ...counted,
      ...routes(
        ["/none", "none", retry("5xx")],
        ["/budget", "budget", retry("5xx")],
        ["/least", "least", retry("5xx")],
      ),
    },
    asks: ["/none", "/budget", "/least"].flatMap((path) => [act("503=1", { path }), act("503=2", { path }), { path }]),
  },
];
