import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readEnvoyBootstrap } from "./envoy-bootstrap.ts";

const CLUSTER = `
name: backend
type: STATIC
connect_timeout: 1.5s
load_assignment: { cluster_name: backend, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 80 } } } }] }] }
`;
const LISTENER = `
name: l
address: { socket_address: { address: 127.0.0.1, port_value: 8080 } }
filter_chains:
  - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          http_filters: [{ name: envoy.filters.http.router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }]
          route_config:
            virtual_hosts:
              - { name: v, domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: backend, timeout: 0s } }] }
`;
const withCluster = (more: string) => `static_resources: { clusters: [{ ${more} }] }`;

describe("an Envoy bootstrap", () => {
  it("is read with snake case, durations and embedded types", () => {
    const bootstrap = readEnvoyBootstrap({
      node: { id: "n", cluster: "c", metadata: { a: { b: "5s" } } },
      admin: { address: { socket_address: { address: "127.0.0.2", port_value: 9901 } } },
      static_resources: { clusters: [parse(CLUSTER)], listeners: [parse(LISTENER)] },
    });
    expect(bootstrap.clusters[0]).toMatchObject({
      name: "backend",
      connectTimeout: { seconds: 1n, nanos: 500_000_000 },
    });
    expect(bootstrap.listeners[0]?.filterChains[0]?.filters[0]?.name).toBe("http");
    expect(bootstrap.admin).toEqual({ address: "127.0.0.2", port: 9901 });
    expect(bootstrap.node).toMatchObject({ id: "n", metadata: { a: { b: "5s" } } });
    expect(bootstrap.adsCluster).toBeUndefined();
  });

  it("is read with camel case", () => {
    const bootstrap = readEnvoyBootstrap({ staticResources: { clusters: [{ name: "a", connectTimeout: "3s" }] } });
    expect(bootstrap.clusters[0]?.connectTimeout?.seconds).toBe(3n);
  });

  it("may say what is the default anyway", () => {
    const document = parse(
      withCluster("name: a, lb_policy: ROUND_ROBIN, dns_lookup_family: AUTO, type: STATIC, respect_dns_ttl: false"),
    );
    expect(readEnvoyBootstrap(document).clusters[0]?.name).toBe("a");
  });

  it("names its ADS cluster", () => {
    const document = parse(
      "dynamic_resources: { ads_config: { api_type: DELTA_GRPC, grpc_services: [{ envoy_grpc: { cluster_name: xds } }] }, cds_config: { ads: {} }, lds_config: { ads: {} } }",
    );
    expect(readEnvoyBootstrap(document).adsCluster).toBe("xds");
  });

  it.each([
    ["tracing: {}", "tracing: not supported"],
    ["static_resources: []", "static_resources: must be an object"],
    [withCluster("name: a, conect_timeout: 5s"), "static_resources.clusters[0].conect_timeout: unknown field"],
    [withCluster("name: a, lb_polcy: ROUND_ROBIN"), "static_resources.clusters[0].lb_polcy: unknown field"],
    [
      withCluster("name: a, load_assignment: { cluster_name: a, polcy: { x: DROP } }"),
      "static_resources.clusters[0].load_assignment.polcy: unknown field",
    ],
    [withCluster("name: a, type: SIDEWAYS"), "static_resources.clusters[0].type: SIDEWAYS is not a known value"],
    [
      withCluster("name: a, transport_socket: { name: q, typed_config: { '@type': type.googleapis.com/envoy.Quic } }"),
      "static_resources.clusters[0].transport_socket.typed_config: type envoy.Quic is not supported",
    ],
    ["dynamic_resources: { lds_config: { path: /x } }", "dynamic_resources: only ads_config is supported"],
    ["just text", "bootstrap: must be an object"],
  ])("is refused: %s", (text, reason) => expect(() => readEnvoyBootstrap(parse(text))).toThrow(reason));
});
