import { httpFilter } from "../harness/stand-alone.ts";
import type { Transfer } from "../harness/transfer.ts";
import { act, NOBODY, ONE, ONE_HTTP2, type RoutingCase, routes } from "./routing-cases.ts";

const VERSIONS = ["1.1", "2"] as const;
const grpc = (path: string, more: Partial<Transfer> = {}): Transfer => ({
  version: "2",
  method: "POST",
  path,
  body: "\0\0\0\0\u0001x",
  ...more,
  headers: { "content-type": "application/grpc", te: "trailers", ...more.headers },
});
const full = { numerator: 100, denominator: "HUNDRED" };
const fault = (config: object = {}) => httpFilter("fault", "fault.v3.HTTPFault", config);
const perRoute = (name: string, type: string, config: object) => ({
  typed_per_filter_config: {
    [`envoy.filters.http.${name}`]: { "@type": `type.googleapis.com/envoy.extensions.filters.http.${type}`, ...config },
  },
});
const rbac = httpFilter("rbac", "rbac.v3.RBAC", {
  rules: {
    action: "DENY",
    policies: {
      deny: { permissions: [{ url_path: { path: { prefix: "/denied" } } }], principals: [{ any: true }] },
    },
  },
});

/** What crosses from one version of HTTP to another, and what gRPC's clients are told by the proxy itself. */
export const protocolCases: readonly RoutingCase[] = [
  {
    name: "versions of HTTP, either side",
    clusters: {
      h1: { ...ONE, more: { max_requests_per_connection: 1, http_protocol_options: { enable_trailers: true } } },
      h2: ONE_HTTP2,
    },
    more: { http_protocol_options: { enable_trailers: true } },
    virtualHost: routes(["/h1", "h1"], ["/h2", "h2"]),
    asks: VERSIONS.flatMap((version) =>
      ["/h1", "/h2"].flatMap((path): Transfer[] => [
        { version, path },
        { version, path, method: "HEAD" },
        { version, path, method: "DELETE" },
        { version, path, method: "POST", body: "some text" },
        { version, path, method: "POST", body: "x".repeat(100_000) },
        { version, path, method: "POST", body: "some text", headers: { "content-length": "9" } },
        { version, path, method: "POST", body: "" },
        { version, path, method: "PUT", body: "with trailers", trailers: { "x-sum": "13" } },
        { version, path, method: "PUT", body: "", trailers: { "x-sum": "0" } },
        { version, path, headers: { cookie: "a=1; b=2", "x-list": "a, b" } },
        { version, path: `${path}?a=b&c` },
        { version, path: `${path}/%41/../b` },
        { version, path, headers: { te: "trailers" } },
        { version, path, headers: { host: "app:80" } },
        { version, path, headers: { "x-empty": "" } },
        act("trailers", { version, path }),
        act("trailers", { version, path, headers: { te: "trailers" } }),
        act("500", { version, path }),
        act("reset", { version, path }),
        act("cut", { version, path }),
        act("refuse=9", { version, path }),
      ]),
    ),
  },
  {
    name: "what gRPC's clients are told by the proxy",
    clusters: {
      h2: ONE_HTTP2,
      h1: ONE,
      nobody: { ports: [NOBODY], http2: true },
      empty: { ports: [] },
      full: { ...ONE_HTTP2, more: { circuit_breakers: { thresholds: [{ max_requests: 0 }] } } },
    },
    filters: [fault(), rbac],
    virtualHost: {
      routes: [
        ...routes(
          ["/ok", "h2"],
          ["/h1", "h1"],
          ["/nobody", "nobody"],
          ["/empty", "empty"],
          ["/full", "full"],
          ["/missing", "not-there"],
          ["/slow", "h2", { timeout: "0.15s" }],
          ["/limit", "h2", { timeout: "5s", max_stream_duration: { grpc_timeout_header_max: "0.2s" } }],
          ["/short", "h2", { timeout: "0.3s", max_stream_duration: { grpc_timeout_header_max: "30s" } }],
          ["/any", "h2", { timeout: "5s", max_stream_duration: { grpc_timeout_header_max: "0s" } }],
          [
            "/offset",
            "h2",
            {
              timeout: "5s",
              max_stream_duration: { grpc_timeout_header_max: "1s", grpc_timeout_header_offset: "0.1s" },
            },
          ],
          ["/denied", "h2"],
          [
            "/fault/grpc",
            "h2",
            {},
            perRoute("fault", "fault.v3.HTTPFault", { abort: { grpc_status: 5, percentage: full } }),
          ],
          [
            "/fault/http",
            "h2",
            {},
            perRoute("fault", "fault.v3.HTTPFault", { abort: { http_status: 429, percentage: full } }),
          ],
        ).routes,
        ...[400, 401, 403, 404, 429, 500, 502, 503, 504].map((status) => ({
          match: { prefix: `/direct/${status}` },
          direct_response: { status, body: { inline_string: "told\n" } },
        })),
        { match: { prefix: "/redirect" }, redirect: { path_redirect: "/x" } },
      ],
    },
    asks: [
      ...[
        "/ok",
        "/h1",
        "/nobody",
        "/empty",
        "/full",
        "/missing",
        "/slow",
        "/denied",
        "/fault/grpc",
        "/fault/http",
        "/redirect",
        "/elsewhere",
      ].flatMap((path) => [
        grpc(path, path === "/slow" ? { headers: { "x-do": "silence" } } : {}),
        { path, ...(path === "/slow" ? act("silence") : {}) },
      ]),
      ...[400, 401, 403, 404, 429, 500, 502, 503, 504].flatMap((status) => [
        grpc(`/direct/${status}`),
        { path: `/direct/${status}` },
      ]),
      ...["grpc=0", "grpc=5", "grpc-only=0", "grpc-only=7", "500", "404", "reset", "cut", "refuse=9"].map((verb) =>
        grpc("/ok", { headers: { "x-do": verb } }),
      ),
      grpc("/fault/grpc", { version: "1.1" }),
      grpc("/denied", { headers: { "content-type": "application/grpc+proto" } }),
      grpc("/denied", { headers: { "content-type": "application/grpc-web" } }),
      grpc("/denied", { headers: { "content-type": "application/grpcx" } }),
      ...["100m", "1S", "100000u", "1H"].map((value) =>
        grpc("/limit", { headers: { "grpc-timeout": value, "x-do": "silence" } }),
      ),
      grpc("/short", { headers: { "grpc-timeout": "500m", "x-do": "silence" } }),
      ...["x", "99999999999S", "20S"].map((value) => grpc("/short", { headers: { "grpc-timeout": value } })),
      grpc("/short"),
      ...["100m", "50000u"].flatMap((value) => [
        grpc("/any", { headers: { "grpc-timeout": value, "x-do": "silence" } }),
        grpc("/offset", { headers: { "grpc-timeout": "300m", "x-do": "silence" } }),
      ]),
      grpc("/any", { headers: { "grpc-timeout": "10S" } }),
    ],
  },
  {
    name: "faults that requests ask for",
    clusters: { h1: ONE },
    filters: [fault({ abort: { header_abort: {}, percentage: full }, delay: { header_delay: {}, percentage: full } })],
    virtualHost: routes(["/", "h1"]),
    asks: [
      {},
      { headers: { "x-envoy-fault-abort-request": "418" } },
      { headers: { "x-envoy-fault-abort-request": "x" } },
      { headers: { "x-envoy-fault-abort-grpc-request": "7" } },
      { headers: { "x-envoy-fault-abort-request": "503", "x-envoy-fault-abort-request-percentage": "0" } },
      { headers: { "x-envoy-fault-delay-request": "10" } },
    ],
  },
];
