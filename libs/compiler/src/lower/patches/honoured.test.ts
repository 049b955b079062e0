import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { clusterSpec, listenerSpec, routeTable } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { described } from "../../testing/mesh.ts";
import { run } from "../../testing/simulate.ts";
import { notHonoured } from "./honoured.ts";
import { EnvoyMessages } from "./messages.ts";

const messages = new EnvoyMessages(described());

function read(type: string, json: unknown) {
  const message = messages.parse(type, json);
  if (!message.ok) throw new Error(message.error);
  return message.value;
}

// What the table lets through is decoded as the proxies do it: they throw on what they cannot honour.
describe("what is given to proxies of this project is taken by them", () => {
  it.each([
    [{ connect_timeout: "1s", alt_stat_name: "a", per_connection_buffer_limit_bytes: 1 }],
    [{ type: "STRICT_DNS", dns_refresh_rate: "5s", respect_dns_ttl: true, dns_lookup_family: "V4_ONLY" }],
    [
      {
        load_assignment: {
          cluster_name: "c",
          endpoints: [
            {
              locality: { region: "r", zone: "z", sub_zone: "s" },
              lb_endpoints: [
                {
                  endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: 80 } } },
                  load_balancing_weight: 2,
                },
              ],
              load_balancing_weight: 1,
              priority: 0,
            },
          ],
        },
      },
    ],
    [
      {
        circuit_breakers: {
          thresholds: [
            { priority: "DEFAULT", max_connections: 1, max_pending_requests: 1, max_requests: 1, max_retries: 1 },
          ],
        },
      },
    ],
    [
      {
        outlier_detection: {
          consecutive_5xx: 1,
          interval: "1s",
          base_ejection_time: "1s",
          max_ejection_percent: 50,
          enforcing_consecutive_5xx: 100,
          consecutive_gateway_failure: 1,
          enforcing_consecutive_gateway_failure: 100,
        },
      },
    ],
  ])("cluster %j", (json) => {
    const cluster = read("envoy.config.cluster.v3.Cluster", { name: "c", ...json });
    expect(notHonoured(messages, cluster)).toEqual([]);
    expect(clusterSpec(Cluster.decode(messages.encode(cluster)), run()).spec.name).toBe("c");
  });

  const header = [{ header: { key: "a", value: "b" }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }];
  const headers = {
    request_headers_to_add: header,
    request_headers_to_remove: ["x"],
    response_headers_to_add: header,
    response_headers_to_remove: ["y"],
  };
  const matchers = [
    { name: "a", exact_match: "x" },
    { name: "a", prefix_match: "x", invert_match: true },
    { name: "a", suffix_match: "x", treat_missing_header_as_empty: true },
    { name: "a", present_match: true },
    ...["exact", "prefix", "suffix", "contains"].map((kind) => ({ name: "a", string_match: { [kind]: "x" } })),
    { name: "a", string_match: { safe_regex: { regex: "x+" } } },
    { name: "a", string_match: { exact: "x", ignore_case: true } },
  ];
  const limits = [
    {
      stage: 1,
      disable_key: "off",
      actions: [
        { source_cluster: {} },
        { destination_cluster: {} },
        { remote_address: {} },
        { masked_remote_address: { v4_prefix_mask_len: 24, v6_prefix_mask_len: 64 } },
        { request_headers: { header_name: ":path", descriptor_key: "PATH", skip_if_absent: true } },
        { generic_key: { descriptor_key: "k", descriptor_value: "v" } },
        { header_value_match: { descriptor_key: "k", descriptor_value: "v", expect_match: false, headers: matchers } },
        {
          metadata: {
            descriptor_key: "k",
            metadata_key: { key: "ns", path: [{ key: "a" }, { key: "b" }] },
            default_value: "none",
            source: "ROUTE_ENTRY",
            skip_if_absent: true,
          },
        },
      ],
    },
  ];
  it.each([
    [{ match: { prefix: "/" }, route: { cluster: "c", timeout: "1s" }, ...headers }],
    [{ match: { prefix: "/" }, route: { cluster: "c", rate_limits: limits, include_vh_rate_limits: true } }],
    [{ match: { path: "/a" }, direct_response: { status: 418, body: { inline_string: "no" } } }],
    [{ match: { prefix: "/" }, redirect: { host_redirect: "h", path_redirect: "/p", response_code: "FOUND" } }],
  ])("route %j", (route) => {
    const host = { name: "v", domains: ["*"], routes: [{ name: "r", ...route }], ...headers, rate_limits: limits };
    const parts = { request_headers_to_add: header, response_headers_to_add: header };
    for (const part of [
      read("envoy.config.route.v3.VirtualHost", host),
      read("envoy.config.route.v3.RouteConfiguration", parts),
    ]) {
      expect(notHonoured(messages, part)).toEqual([]);
    }
    const config = read("envoy.config.route.v3.RouteConfiguration", { name: "t", virtual_hosts: [host], ...parts });
    expect(() => routeTable(RouteConfiguration.decode(messages.encode(config)), run())).not.toThrow();
  });

  const HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
  const ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
  it.each([
    ...["OVERWRITE", "APPEND_IF_ABSENT", "PASS_THROUGH"].map((how) => ({ server_header_transformation: how })),
    ...["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"].map((how) => ({
      forward_client_cert_details: how,
      set_current_client_cert_details: { subject: true, cert: true, dns: true, uri: true },
    })),
    ...["KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"].map((how) => ({
      path_with_escaped_slashes_action: how,
      normalize_path: true,
      merge_slashes: true,
    })),
    ...["ALLOW", "REJECT_REQUEST", "DROP_HEADER"].map((how) => ({
      common_http_protocol_options: { idle_timeout: "9s", headers_with_underscores_action: how },
    })),
    { http_protocol_options: { accept_http_10: true, allow_custom_methods: true } },
    { http2_protocol_options: { max_concurrent_streams: 10 } },
    { server_name: "edge", stream_idle_timeout: "1s", request_timeout: "2s" },
    { use_remote_address: true, xff_num_trusted_hops: 2, append_x_forwarded_port: true },
    {
      generate_request_id: false,
      preserve_external_request_id: true,
      always_set_request_id_in_response: true,
    },
    { strip_matching_host_port: true },
    { strip_any_host_port: true },
    { upgrade_configs: [{ upgrade_type: "websocket" }, { upgrade_type: "CONNECT", enabled: false }] },
  ])("connection manager %j", (json) => {
    expect(notHonoured(messages, read(HCM, json))).toEqual([]);
    const manager = {
      "@type": `type.googleapis.com/${HCM}`,
      stat_prefix: "s",
      rds: { route_config_name: "r", config_source: { ads: {} } },
      http_filters: [{ name: "envoy.filters.http.router", typed_config: { "@type": ROUTER } }],
      ...json,
    };
    const listener = read("envoy.config.listener.v3.Listener", {
      name: "l",
      address: { socket_address: { address: "127.0.0.1", port_value: 80 } },
      filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] }],
    });
    expect(listenerSpec(Listener.decode(messages.encode(listener)), run()).name).toBe("l");
  });
});

describe("what they do not honour", () => {
  it.each([
    ["cluster.v3.Cluster", { health_checks: [{}] }, ["healthChecks"]],
    ["cluster.v3.Cluster", { cluster_type: { name: "redis" } }, ["clusterType"]],
    ["cluster.v3.Cluster", { circuit_breakers: { per_host_thresholds: [{}] } }, ["circuitBreakers.perHostThresholds"]],
    ["route.v3.Route", { match: { connect_matcher: {} } }, ["match.connectMatcher"]],
    [
      "route.v3.Route",
      { typed_per_filter_config: { a: { "@type": "type.googleapis.com/google.protobuf.Empty" } } },
      ["typedPerFilterConfig"],
    ],
    [
      "route.v3.VirtualHost",
      { rate_limits: [{ actions: [{ extension: { name: "a" } }] }] },
      ["rateLimits.actions.extension"],
    ],
    [
      "route.v3.VirtualHost",
      { rate_limits: [{ limit: { dynamic_metadata: { metadata_key: { key: "a", path: [{ key: "b" }] } } } }] },
      ["rateLimits.limit"],
    ],
    ["listener.v3.Listener", { name: "a" }, [""]],
  ])("%s %j", (type, json, expected) => {
    expect(notHonoured(messages, read(`envoy.config.${type}`, json))).toEqual(expected);
  });
});
