import type { Ask } from "../harness/http.ts";
import { httpFilter } from "../harness/stand-alone.ts";

/** Filters on one listener, and the requests that both proxies get in this order. */
export interface FilterCase {
  readonly name: string;
  readonly filters: readonly object[];
  readonly virtualHost: object;
  /** Of the connection manager. */
  readonly more?: object;
  readonly asks: readonly Ask[];
}

export const LISTENER_PORT = 21_000;

const host = { host: "shop" };
const perRoute = (name: string, type: string, config: object) => ({
  [`envoy.filters.http.${name}`]: { "@type": `type.googleapis.com/envoy.extensions.filters.http.${type}`, ...config },
});
const route = (prefix: string, typed_per_filter_config: object = {}, more: object = {}) => ({
  match: { prefix },
  route: { cluster: "app", ...more },
  typed_per_filter_config,
});
const get = (path: string, headers: Readonly<Record<string, string>> = {}): Ask => ({
  path,
  headers: { ...host, ...headers },
});
const post = (path: string, body: string, headers: Readonly<Record<string, string>> = {}): Ask => ({
  method: "POST",
  path,
  body,
  headers: { ...host, ...headers },
});
const grpcAuthz = (config: object = {}, cluster = "authz-grpc") =>
  httpFilter("ext_authz", "ext_authz.v3.ExtAuthz", {
    grpc_service: { envoy_grpc: { cluster_name: cluster }, timeout: "0.5s" },
    transport_api_version: "V3",
    ...config,
  });
const httpAuthz = (service: object = {}, config: object = {}) =>
  httpFilter("ext_authz", "ext_authz.v3.ExtAuthz", {
    http_service: { server_uri: { uri: "authz:80", cluster: "authz-http", timeout: "0.5s" }, ...service },
    ...config,
  });
const header = (key: string, value: string, append_action = "APPEND_IF_EXISTS_OR_ADD") => ({
  append: { header: { key, value }, append_action },
});
const exact = (...names: readonly string[]) => ({ patterns: names.map((name) => ({ exact: name })) });
const full = { default_value: { numerator: 100, denominator: "HUNDRED" } };
const AUTHZ_ASKS = [
  get("/a?gone=1&q=0&z=2", { "x-auth": "allow", "x-list": "old", "x-secret": "s" }),
  get("/a", { "x-auth": "deny" }),
  get("/a", { "x-auth": "bare-deny" }),
  get("/a", { "x-auth": "fail" }),
  get("/a", { "x-auth": "slow" }),
  get("/off", { "x-auth": "deny" }),
  get("/more", { "x-auth": "allow", authorization: "b" }),
  post("/a", "some body", { "x-auth": "allow" }),
];
const AUTHZ_ROUTES = {
  routes: [
    route("/off", perRoute("ext_authz", "ext_authz.v3.ExtAuthzPerRoute", { disabled: true })),
    route(
      "/more",
      perRoute("ext_authz", "ext_authz.v3.ExtAuthzPerRoute", { check_settings: { context_extensions: { a: "b" } } }),
    ),
    route("/"),
  ],
};

export const filterCases: readonly FilterCase[] = [
  {
    name: "header mutation",
    filters: [
      httpFilter("header_mutation", "header_mutation.v3.HeaderMutation", {
        mutations: {
          request_mutations: [
            header("x-a", "1"),
            header("x-b", "2", "OVERWRITE_IF_EXISTS_OR_ADD"),
            { remove: "x-gone" },
          ],
          response_mutations: [header("x-r", "%REQ(x-a)%"), header("x-s", "1", "ADD_IF_ABSENT")],
        },
      }),
    ],
    virtualHost: {
      routes: [
        route(
          "/r",
          perRoute("header_mutation", "header_mutation.v3.HeaderMutationPerRoute", {
            mutations: {
              request_mutations: [
                header("x-a", "route", "OVERWRITE_IF_EXISTS"),
                header("x-c", "3", "OVERWRITE_IF_EXISTS"),
              ],
            },
          }),
        ),
        route("/"),
      ],
      typed_per_filter_config: perRoute("header_mutation", "header_mutation.v3.HeaderMutationPerRoute", {
        mutations: { request_mutations: [header("x-a", "host", "OVERWRITE_IF_EXISTS_OR_ADD")] },
      }),
    },
    asks: [get("/"), get("/", { "x-a": "0", "x-b": "0", "x-gone": "1" }), get("/r", { "x-c": "0" }), get("/r")],
  },
  {
    name: "buffer",
    filters: [httpFilter("buffer", "buffer.v3.Buffer", { max_request_bytes: 8 })],
    virtualHost: {
      routes: [
        route("/off", perRoute("buffer", "buffer.v3.BufferPerRoute", { disabled: true })),
        route("/wide", perRoute("buffer", "buffer.v3.BufferPerRoute", { buffer: { max_request_bytes: 100 } })),
        route("/"),
      ],
    },
    asks: [
      get("/"),
      post("/", "12345678"),
      post("/", "123456789"),
      post("/", "1234", { "transfer-encoding": "chunked" }),
      post("/off", "123456789"),
      post("/wide", "123456789"),
    ],
  },
  {
    name: "health check",
    filters: [
      httpFilter("health_check", "health_check.v3.HealthCheck", {
        pass_through_mode: false,
        headers: [{ name: ":path", string_match: { exact: "/healthz" } }],
        cluster_min_healthy_percentages: { app: { value: 50 } },
      }),
    ],
    virtualHost: { routes: [route("/")] },
    asks: [get("/"), get("/healthz"), get("/healthz?x"), post("/", "x"), post("/healthz", "x")],
  },
  {
    name: "local rate limit",
    filters: [
      httpFilter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", {
        stat_prefix: "p",
        token_bucket: { max_tokens: 3, tokens_per_fill: 1, fill_interval: "3600s" },
        filter_enabled: full,
        filter_enforced: full,
        response_headers_to_add: [{ header: { key: "x-limited", value: "yes" } }],
      }),
    ],
    virtualHost: {
      routes: [
        route(
          "/own",
          perRoute("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", {
            stat_prefix: "p",
            token_bucket: { max_tokens: 1, fill_interval: "3600s" },
            filter_enabled: full,
            filter_enforced: full,
            status: { code: 503 },
            rate_limited_as_resource_exhausted: true,
          }),
        ),
        route(
          "/by-user",
          perRoute("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", {
            stat_prefix: "p",
            token_bucket: { max_tokens: 100, fill_interval: "3600s" },
            filter_enabled: full,
            filter_enforced: full,
            descriptors: [
              { entries: [{ key: "user", value: "ann" }], token_bucket: { max_tokens: 1, fill_interval: "3600s" } },
            ],
          }),
          { rate_limits: [{ actions: [{ request_headers: { header_name: "x-user", descriptor_key: "user" } }] }] },
        ),
        route("/"),
      ],
    },
    asks: [
      ...["/", "/", "/own", "/own", "/", "/", "/"].map((path) => get(path)),
      get("/", { "content-type": "application/grpc" }),
      get("/own", { "content-type": "application/grpc" }),
      ...["ann", "bob", "ann", "bob", "bob"].map((user) => get("/by-user", { "x-user": user })),
    ],
  },
  { name: "ext_authz over gRPC", filters: [grpcAuthz()], virtualHost: AUTHZ_ROUTES, asks: AUTHZ_ASKS },
  {
    name: "ext_authz over gRPC that lets pass on errors",
    filters: [grpcAuthz({ failure_mode_allow: true, failure_mode_allow_header_add: true })],
    virtualHost: AUTHZ_ROUTES,
    asks: AUTHZ_ASKS,
  },
  {
    name: "ext_authz with bodies",
    filters: [
      grpcAuthz({
        with_request_body: { max_request_bytes: 8, allow_partial_message: true },
        status_on_error: { code: 503 },
      }),
    ],
    virtualHost: AUTHZ_ROUTES,
    asks: [...AUTHZ_ASKS, post("/a", "123456789", { "x-auth": "allow" }), post("/a", "12345678", { "x-auth": "deny" })],
  },
  {
    name: "ext_authz with whole bodies only",
    filters: [grpcAuthz({ with_request_body: { max_request_bytes: 8, pack_as_bytes: true } })],
    virtualHost: AUTHZ_ROUTES,
    asks: [post("/a", "123456789"), post("/a", "12345678"), get("/a"), post("/a", "12345678", { "x-auth": "deny" })],
  },
  {
    name: "ext_authz with chosen headers",
    filters: [grpcAuthz({ allowed_headers: exact("x-auth", "x-one", "x-two"), disallowed_headers: exact("x-two") })],
    virtualHost: AUTHZ_ROUTES,
    asks: [get("/a", { "x-one": "1", "x-two": "2", "x-three": "3" })],
  },
  {
    name: "ext_authz whose service is gone",
    filters: [grpcAuthz({ status_on_error: { code: 503 } }, "closed")],
    virtualHost: AUTHZ_ROUTES,
    asks: [get("/a"), get("/off")],
  },
  {
    name: "ext_authz that is switched off",
    filters: [
      grpcAuthz({
        filter_enabled: { default_value: { numerator: 0 } },
        deny_at_disable: { default_value: true, runtime_key: "x" },
      }),
    ],
    virtualHost: AUTHZ_ROUTES,
    asks: [get("/a"), get("/off")],
  },
  {
    name: "ext_authz over HTTP",
    filters: [httpAuthz()],
    virtualHost: AUTHZ_ROUTES,
    asks: [
      get("/a?auth=allow", { "x-list": "old", authorization: "b", "x-one": "1" }),
      get("/a?auth=deny"),
      get("/a?auth=fail"),
      get("/a?auth=moved"),
      get("/a?auth=slow"),
      get("/off?auth=deny"),
      post("/a?auth=allow", "text"),
      post("/a?auth=deny", "text"),
    ],
  },
  {
    name: "ext_authz over HTTP with chosen headers",
    filters: [
      httpAuthz(
        {
          path_prefix: "/check",
          authorization_request: { allowed_headers: exact("x-one"), headers_to_add: [{ key: "x-added", value: "1" }] },
          authorization_response: {
            allowed_upstream_headers: exact("x-user", "x-told"),
            allowed_upstream_headers_to_append: exact("x-list"),
            allowed_client_headers: exact("x-told"),
            allowed_client_headers_on_success: exact("x-other"),
          },
        },
        { with_request_body: { max_request_bytes: 4, allow_partial_message: true } },
      ),
    ],
    virtualHost: AUTHZ_ROUTES,
    asks: [
      get("/a?auth=allow", { "x-list": "old", authorization: "b", "x-one": "1", "x-two": "2" }),
      get("/a?auth=deny"),
      get("/a?auth=moved"),
      post("/a?auth=allow", "text and more"),
      post("/a?auth=deny", "text"),
    ],
  },
  {
    name: "ext_authz for what a shadow rule speaks of, as for CUSTOM policies",
    filters: [
      httpFilter("rbac", "rbac.v3.RBAC", {
        shadow_rules: {
          action: "DENY",
          policies: {
            "istio-ext-authz-p-ns[shop]-policy[custom]-rule[0]": {
              permissions: [{ url_path: { path: { prefix: "/a" } } }],
              principals: [{ any: true }],
            },
          },
        },
        shadow_rules_stat_prefix: "istio_ext_authz_",
      }),
      grpcAuthz({
        filter_enabled_metadata: {
          filter: "envoy.filters.http.rbac",
          path: [{ key: "istio_ext_authz_shadow_effective_policy_id" }],
          value: { string_match: { prefix: "istio-ext-authz-p" } },
        },
      }),
    ],
    virtualHost: { routes: [route("/")] },
    asks: [...AUTHZ_ASKS, get("/other", { "x-auth": "deny" })],
  },
  ...rateLimitCases(),
  ...compressorCases(),
];

function rateLimitCases(): readonly FilterCase[] {
  const filter = (config: object = {}, cluster = "rls") =>
    httpFilter("ratelimit", "ratelimit.v3.RateLimit", {
      domain: "shop",
      timeout: "0.5s",
      rate_limit_service: { grpc_service: { envoy_grpc: { cluster_name: cluster } }, transport_api_version: "V3" },
      ...config,
    });
  const byUser = { actions: [{ request_headers: { header_name: "x-user", descriptor_key: "user" } }] };
  const virtualHost = {
    rate_limits: [{ actions: [{ generic_key: { descriptor_value: "host" } }, { remote_address: {} }] }],
    routes: [
      route("/own", {}, { rate_limits: [byUser, { stage: 1, actions: [{ destination_cluster: {} }] }] }),
      route("/all", {}, { rate_limits: [byUser], include_vh_rate_limits: true }),
      route(
        "/many",
        {},
        {
          rate_limits: [
            {
              actions: [
                { source_cluster: {} },
                { destination_cluster: {} },
                {
                  header_value_match: {
                    descriptor_value: "get",
                    headers: [{ name: ":method", string_match: { exact: "GET" } }],
                  },
                },
                { request_headers: { header_name: "x-none", descriptor_key: "none", skip_if_absent: true } },
                { generic_key: { descriptor_value: "v", descriptor_key: "k" } },
                { masked_remote_address: { v4_prefix_mask_len: 8 } },
                {
                  query_parameter_value_match: {
                    descriptor_value: "q",
                    query_parameters: [{ name: "a", string_match: { exact: "1" } }],
                  },
                },
              ],
            },
          ],
        },
      ),
      route("/ignore", perRoute("ratelimit", "ratelimit.v3.RateLimitPerRoute", { vh_rate_limits: "IGNORE" })),
      route("/domain", perRoute("ratelimit", "ratelimit.v3.RateLimitPerRoute", { domain: "other" })),
      route("/"),
    ],
  };
  const asks = [
    get("/"),
    get("/own"),
    ...["ann", "over", "fail"].map((user) => get("/own", { "x-user": user })),
    get("/own", { "x-user": "over", "content-type": "application/grpc" }),
    get("/all", { "x-user": "ann" }),
    get("/many?a=1"),
    get("/many?a=2"),
    get("/ignore"),
    get("/domain"),
    get("/own", { "x-user": "slow" }),
  ];
  return [
    {
      name: "rate limits of a service",
      filters: [filter({ enable_x_ratelimit_headers: "DRAFT_VERSION_03" })],
      virtualHost,
      asks,
    },
    {
      name: "rate limits that refuse on errors",
      filters: [
        filter({
          failure_mode_deny: true,
          rate_limited_as_resource_exhausted: true,
          disable_x_envoy_ratelimited_header: true,
          rate_limited_status: { code: 503 },
          response_headers_to_add: [{ header: { key: "x-refused", value: "yes" } }],
        }),
      ],
      virtualHost,
      asks,
    },
    { name: "rate limits of a service that is gone", filters: [filter({}, "closed")], virtualHost, asks: [get("/")] },
    {
      name: "rate limits of another stage",
      filters: [filter({ stage: 1 })],
      virtualHost,
      asks: [get("/"), get("/own", { "x-user": "over" })],
    },
  ];
}

function compressorCases(): readonly FilterCase[] {
  const compressor = (name: "gzip" | "brotli", config: object = {}) => {
    const type = `type.googleapis.com/envoy.extensions.compression.${name}.compressor.v3.${name === "gzip" ? "Gzip" : "Brotli"}`;
    const library = { name, typed_config: { "@type": type } };
    const made = httpFilter("compressor", "compressor.v3.Compressor", { compressor_library: library, ...config });
    return { ...made, name: `compressor-${name}` };
  };
  const off = {
    "compressor-gzip": {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
      disabled: true,
    },
  };
  const virtualHost = {
    routes: [
      route("/off", off),
      { match: { prefix: "/direct" }, direct_response: { status: 200, body: { inline_string: "x".repeat(100) } } },
      { match: { prefix: "/short" }, direct_response: { status: 200, body: { inline_string: "x".repeat(10) } } },
      route("/"),
    ],
  };
  const encodings = [
    "gzip",
    "br",
    "gzip, br",
    "br;q=0.5, gzip;q=0.8",
    "br;q=0.8, gzip;q=0.5",
    "*",
    "*;q=0",
    "gzip;q=0, *",
    "identity",
    "gzip;q=0.5, identity",
    "deflate",
    "",
    "gzip;q=x",
  ];
  const wants = [
    'etag="strong"',
    'etag=W/"weak"',
    "vary=Origin",
    "vary=Accept-Encoding",
    "cache-control=no-transform",
    "content-encoding=x",
    "content-type=image/png",
    "content-type=text/html; charset=x",
  ];
  const asks = [
    get("/"),
    ...encodings.map((encoding) => get("/", { "accept-encoding": encoding })),
    ...wants.map((want) => get("/", { "accept-encoding": "gzip", "x-want-header": want })),
    get("/off", { "accept-encoding": "gzip" }),
    get("/direct", { "accept-encoding": "gzip" }),
    get("/short", { "accept-encoding": "gzip" }),
    { ...get("/", { "accept-encoding": "gzip" }), method: "HEAD" },
    post("/", "y".repeat(100_000), { "accept-encoding": "gzip" }),
  ];
  return [
    { name: "gzip", filters: [compressor("gzip")], virtualHost, asks },
    {
      name: "gzip with conditions",
      filters: [
        compressor("gzip", {
          response_direction_config: {
            common_config: { min_content_length: 1000, content_type: ["application/json"] },
            disable_on_etag_header: true,
            remove_accept_encoding_header: true,
          },
        }),
      ],
      virtualHost,
      asks,
    },
    { name: "gzip and brotli", filters: [compressor("brotli"), compressor("gzip")], virtualHost, asks },
    {
      name: "brotli and gzip, first chosen",
      filters: [compressor("brotli"), compressor("gzip", { choose_first: true })],
      virtualHost,
      asks,
    },
  ];
}
