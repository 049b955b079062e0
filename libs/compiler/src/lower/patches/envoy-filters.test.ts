import { describe, expect, it } from "vitest";
import {
  at,
  envoyFilter,
  httpFiltersOf,
  listenerFiltersOf,
  lua,
  networkFiltersOf,
  patch,
} from "../../testing/extensions.ts";
import {
  httpManagerOf,
  ms,
  type NodeOptions,
  type ProxyView,
  pod,
  service,
  upstreamTlsOf,
  viewOf,
} from "../../testing/mesh.ts";

const MESH =
  service("web", "10.0.0.1", ["http:80:8080", "tcp-raw:9000:9000"]) +
  service("db", "10.0.0.2", ["tcp:5432"]) +
  pod("web-1", "10.1.0.1", { app: "web" }) +
  pod("db-1", "10.1.0.2", { app: "db" }) +
  `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: default }
spec:
  selector: { gw: gw }
  servers:
    - { port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: default }
spec: { hosts: [web], gateways: [gw, mesh], http: [{ name: main, route: [{ destination: { host: web } }] }] }
---`;

const ENVOY: NodeOptions = { envoy: true, labels: { app: "web" } };
const GATEWAY: NodeOptions = { envoy: true, kind: "router", labels: { gw: "gw" } };
const WEB = "outbound|80||web.default.svc.cluster.local";
const DB = "outbound|5432||db.default.svc.cluster.local";
const view = (patches: readonly string[] | string, node: NodeOptions = ENVOY): ProxyView =>
  viewOf(MESH + (typeof patches === "string" ? patches : envoyFilter("f", patches)), node);

describe("CLUSTER", () => {
  const timeout = (seen: ProxyView, name: string) => ms(seen.cluster(name).connectTimeout);
  it.each([
    ["all", "{}", [WEB, DB, "inbound|8080||", "BlackHoleCluster"], []],
    ["a context", "{ context: SIDECAR_INBOUND }", ["inbound|8080||"], [WEB, "BlackHoleCluster"]],
    ["a name", `{ cluster: { name: "${WEB}" } }`, [WEB], [DB]],
    ["a service", "{ cluster: { service: db.default.svc.cluster.local } }", [DB], [WEB, "inbound|8080||"]],
    [
      "a service with its inbound port",
      "{ cluster: { service: web.default.svc.cluster.local } }",
      [WEB, "inbound|8080||"],
      [DB],
    ],
    ["a port", "{ context: SIDECAR_OUTBOUND, cluster: { portNumber: 80 } }", [WEB], [DB]],
  ])("MERGE changes %s", (_title, match, changed, same) => {
    const seen = view([patch("CLUSTER", "MERGE", match, "{ connect_timeout: 1.25s }")]);
    for (const name of changed) expect([name, timeout(seen, name)]).toEqual([name, 1250]);
    for (const name of same) expect([name, seen.cluster(name)]).toEqual([name, view([]).cluster(name)]);
  });

  it("ADD adds one, also for any context; REMOVE takes one away", () => {
    const value = "{ name: extra, type: STATIC, connect_timeout: 1s }";
    const seen = view([
      patch("CLUSTER", "ADD", "{}", value),
      patch("CLUSTER", "REMOVE", `{ cluster: { name: "${DB}" } }`),
    ]);
    expect(seen.names("cluster").filter((name) => name === "extra")).toEqual(["extra"]);
    expect(seen.names("cluster")).not.toContain(DB);
    expect(view([patch("CLUSTER", "ADD", "{ context: GATEWAY }", value)]).names("cluster")).not.toContain("extra");
  });

  it("MERGE of a transport socket goes to the one of its name that endpoints choose", () => {
    const tls = `{ name: envoy.transport_sockets.tls, typed_config: { "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: { tls_params: { tls_minimum_protocol_version: TLSv1_3 } } } }`;
    const cluster = view([
      patch("CLUSTER", "MERGE", "{}", `{ connect_timeout: 2s, transport_socket: ${tls} }`),
    ]).cluster(WEB);
    expect(cluster.transportSocket).toBeUndefined();
    expect(ms(cluster.connectTimeout)).toBe(2000);
    const merged = upstreamTlsOf(cluster);
    expect(merged?.commonTlsContext?.tlsParams?.tlsMinimumProtocolVersion).toBe(4);
    // What the control plane had said is still there.
    expect(merged?.sni).toBe(upstreamTlsOf(view([]).cluster(WEB))?.sni);
  });

  it("MERGE appends to lists, MERGE_AND_REPLACE_LIST replaces them", () => {
    const value = "{ circuit_breakers: { thresholds: [{ priority: HIGH, max_requests: 7 }] } }";
    const thresholds = (operation: string) =>
      view([patch("CLUSTER", operation, `{ cluster: { name: "${WEB}" } }`, value)]).cluster(WEB).circuitBreakers
        ?.thresholds;
    const before = view([]).cluster(WEB).circuitBreakers?.thresholds ?? [];
    expect(thresholds("MERGE")).toHaveLength(before.length + 1);
    expect(thresholds("MERGE_AND_REPLACE_LIST")).toMatchObject([{ maxRequests: 7 }]);
  });
});

describe("HTTP_FILTER", () => {
  const filters = (patches: readonly string[] | string) => httpFiltersOf(view(patches).listener("virtualInbound"))[0];
  const [plain = []] = httpFiltersOf(view([]).listener("virtualInbound"));
  const ROUTER = "envoy.filters.http.router";

  it.each([
    ["ADD", "", ["a", ROUTER]],
    ["INSERT_FIRST", "", ["a", ROUTER]],
    ["INSERT_BEFORE", ROUTER, ["a", ROUTER]],
    ["INSERT_BEFORE", "", ["a", ROUTER]],
    ["INSERT_AFTER", "", ["a", ROUTER]],
    ["INSERT_BEFORE", "missing", [ROUTER]],
    ["INSERT_AFTER", "missing", [ROUTER]],
  ])("%s %s", (operation, sub, expected) => {
    expect(plain).toEqual([ROUTER]);
    expect(filters([patch("HTTP_FILTER", operation, at("SIDECAR_INBOUND", sub), lua("a"))])).toEqual(expected);
  });

  it("INSERT_BEFORE, INSERT_AFTER, REPLACE and REMOVE find filters that earlier patches put there", () => {
    const add = patch("HTTP_FILTER", "ADD", at("SIDECAR_INBOUND"), lua("a"));
    const next = (operation: string, value = lua("b")) =>
      filters([add, patch("HTTP_FILTER", operation, at("SIDECAR_INBOUND", "a"), value)]);
    expect(next("INSERT_BEFORE")).toEqual(["b", "a", ROUTER]);
    expect(next("INSERT_AFTER")).toEqual(["a", "b", ROUTER]);
    expect(next("REPLACE")).toEqual(["b", ROUTER]);
    expect(next("REMOVE", "")).toEqual([ROUTER]);
  });

  it("MERGE joins the configurations of one type", () => {
    const manager = (patches: readonly string[]) =>
      httpManagerOf(
        view(patches)
          .listener("virtualInbound")
          .filterChains.find(({ name }) => name === "0.0.0.0_8080")?.filters[0],
      );
    const router = `{ name: ${ROUTER}, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, suppress_envoy_headers: true } }`;
    const merged = manager([patch("HTTP_FILTER", "MERGE", at("SIDECAR_INBOUND", ROUTER), router)]);
    const config = merged.httpFilters[0]?.configType;
    expect(config?.$case === "typedConfig" && Buffer.from(config.value.value).toString("hex")).toBe("2001");
  });

  it("stands where its class belongs", () => {
    const deny = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: default }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/no] } }] }] }
---`;
    const place = (filterClass: string) =>
      filters(
        deny +
          envoyFilter("f", [
            patch("HTTP_FILTER", "ADD", at("SIDECAR_INBOUND"), lua("a"), `, filterClass: ${filterClass}`),
          ]),
      );
    const RBAC = "envoy.filters.http.rbac";
    expect(place("AUTHN")).toEqual(["a", RBAC, ROUTER]);
    expect(place("AUTHZ")).toEqual([RBAC, "a", ROUTER]);
    expect(place("STATS")).toEqual([RBAC, "a", ROUTER]);
    expect(place("UNSPECIFIED")).toEqual([RBAC, "a", ROUTER]);
  });

  it("follows port, context and shape of the chain", () => {
    const add = (match: string) => patch("HTTP_FILTER", "ADD", match, lua("a"));
    const has = (patches: readonly string[], listener: string) =>
      httpFiltersOf(view(patches).listener(listener)).map((names) => names.includes("a"));
    expect(has([add("{ context: SIDECAR_OUTBOUND }")], "virtualInbound")).not.toContain(true);
    expect(has([add("{ context: SIDECAR_OUTBOUND }")], "0.0.0.0_80")).toContain(true);
    const onPort = view([add("{ context: SIDECAR_INBOUND, listener: { portNumber: 8080 } }")]).listener(
      "virtualInbound",
    );
    const marked = onPort.filterChains.filter(
      ({ filters: [filter] }) =>
        filter?.name.endsWith("http_connection_manager") &&
        httpManagerOf(filter).httpFilters.some(({ name }) => name === "a"),
    );
    expect(new Set(marked.map((chain) => chain.filterChainMatch?.destinationPort))).toEqual(new Set([8080]));
    const alpn = view([
      add(
        "{ listener: { filterChain: { transportProtocol: tls, applicationProtocols: 'istio-http/1.1, istio-h2' } } }",
      ),
    ]).listener("virtualInbound");
    expect(httpFiltersOf(alpn).filter((names) => names.includes("a")).length).toBeGreaterThan(0);
    expect(httpFiltersOf(alpn).some((names) => !names.includes("a"))).toBe(true);
    expect(has([add("{ listener: { filterChain: { sni: nowhere } } }")], "virtualInbound")).not.toContain(true);
    expect(
      has([add("{ listener: { filterChain: { name: virtualInbound-catchall-http } } }")], "virtualInbound"),
    ).toContain(true);
  });
});

describe("LISTENER, FILTER_CHAIN, NETWORK_FILTER and LISTENER_FILTER", () => {
  it("LISTENER: ADD, MERGE, REMOVE", () => {
    const seen = view([
      patch(
        "LISTENER",
        "ADD",
        "{}",
        "{ name: extra, address: { socket_address: { address: 127.0.0.1, port_value: 7777 } } }",
      ),
      patch(
        "LISTENER",
        "MERGE",
        "{ listener: { name: virtualInbound } }",
        "{ per_connection_buffer_limit_bytes: 4096 }",
      ),
      patch("LISTENER", "REMOVE", "{ context: SIDECAR_OUTBOUND, listener: { portNumber: 80 } }"),
    ]);
    expect(seen.listener("virtualInbound").perConnectionBufferLimitBytes).toBe(4096);
    expect(seen.names("listener").filter((name) => name === "extra")).toHaveLength(1);
    expect(seen.names("listener")).not.toContain("0.0.0.0_80");
  });

  it("a LISTENER with a port is the one bound to it, not one with a chain for it", () => {
    const seen = view([
      patch("LISTENER", "MERGE", "{ listener: { portNumber: 8080 } }", "{ per_connection_buffer_limit_bytes: 4096 }"),
    ]);
    expect(seen.listener("virtualInbound").perConnectionBufferLimitBytes).toBeUndefined();
  });

  it("FILTER_CHAIN: MERGE, ADD, REMOVE", () => {
    const port = "{ context: SIDECAR_INBOUND, listener: { portNumber: 9000 } }";
    const merged = view([patch("FILTER_CHAIN", "MERGE", port, "{ transport_socket_connect_timeout: 3s }")]);
    const touched = merged
      .listener("virtualInbound")
      .filterChains.filter((chain) => chain.transportSocketConnectTimeout);
    expect(new Set(touched.map((chain) => chain.filterChainMatch?.destinationPort))).toEqual(new Set([9000]));
    const chains = (patches: readonly string[]) => view(patches).listener("virtualInbound").filterChains;
    expect(
      chains([patch("FILTER_CHAIN", "REMOVE", port)]).some((chain) => chain.filterChainMatch?.destinationPort === 9000),
    ).toBe(false);
    const added = chains([patch("FILTER_CHAIN", "ADD", "{ listener: { name: virtualInbound } }", "{ name: mine }")]);
    expect(added.at(-1)?.name).toBe("mine");
  });

  it("NETWORK_FILTER: before the one that ends the connection's way, or where it is told", () => {
    const value =
      "{ name: echo, typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo } }";
    const tcp = "envoy.filters.network.tcp_proxy";
    const filters = (operation: string, name = "", given = value) => {
      const filter = name === "" ? "" : `, filter: { name: ${name} }`;
      const match = `{ context: SIDECAR_OUTBOUND, listener: { name: 10.0.0.2_5432, filterChain: { transportProtocol: ""${filter} } } }`;
      return networkFiltersOf(view([patch("NETWORK_FILTER", operation, match, given)]).listener("10.0.0.2_5432"))[0];
    };
    expect(filters("ADD")).toEqual(["echo", tcp]);
    expect(filters("INSERT_FIRST")).toEqual(["echo", tcp]);
    expect(filters("INSERT_BEFORE", tcp)).toEqual(["echo", tcp]);
    expect(filters("INSERT_AFTER", tcp)).toEqual([tcp, "echo"]);
    expect(filters("REPLACE", tcp)).toEqual(["echo"]);
    expect(filters("REMOVE", tcp, "")).toEqual([]);
    const proxy = `{ name: ${tcp}, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, idle_timeout: 5s } }`;
    expect(filters("MERGE", tcp, proxy)).toEqual([tcp]);
  });

  it("LISTENER_FILTER: in every operation", () => {
    const tls = "envoy.filters.listener.tls_inspector";
    const value =
      "{ name: pp, typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol } }";
    const filters = (operation: string, named: string, given = value) =>
      listenerFiltersOf(
        view([
          patch(
            "LISTENER_FILTER",
            operation,
            `{ listener: { name: virtualInbound, listenerFilter: ${named || '""'} } }`,
            given,
          ),
        ]).listener("virtualInbound"),
      );
    const plain = listenerFiltersOf(view([]).listener("virtualInbound"));
    expect(filters("ADD", "")).toEqual([...plain, "pp"]);
    expect(filters("INSERT_FIRST", "")).toEqual(["pp", ...plain]);
    expect(filters("INSERT_BEFORE", tls)).toEqual(plain.flatMap((name) => (name === tls ? ["pp", tls] : [name])));
    expect(filters("INSERT_AFTER", tls)).toEqual(plain.flatMap((name) => (name === tls ? [tls, "pp"] : [name])));
    expect(filters("REPLACE", tls)).toEqual(plain.map((name) => (name === tls ? "pp" : name)));
    expect(filters("REMOVE", tls, "")).toEqual(plain.filter((name) => name !== tls));
  });
});

describe("ROUTE_CONFIGURATION, VIRTUAL_HOST and HTTP_ROUTE", () => {
  const header = "{ response_headers_to_add: [{ header: { key: x-a, value: b } }] }";
  it("ROUTE_CONFIGURATION: MERGE, by name, port and context, also in inbound listeners", () => {
    const seen = view([patch("ROUTE_CONFIGURATION", "MERGE", "{ routeConfiguration: { name: '80' } }", header)]);
    expect(seen.route("80").responseHeadersToAdd).toHaveLength(1);
    const inbound = view([
      patch(
        "ROUTE_CONFIGURATION",
        "MERGE",
        "{ context: SIDECAR_INBOUND, routeConfiguration: { portNumber: 8080 } }",
        header,
      ),
    ]);
    expect(inbound.route("80").responseHeadersToAdd).toHaveLength(0);
    const chain = inbound.listener("virtualInbound").filterChains.find(({ name }) => name === "0.0.0.0_8080");
    const { routeSpecifier } = httpManagerOf(chain?.filters[0]);
    expect(routeSpecifier?.$case === "routeConfig" && routeSpecifier.value.responseHeadersToAdd).toHaveLength(1);
    const gateway = view(
      [patch("ROUTE_CONFIGURATION", "MERGE", "{ context: GATEWAY, routeConfiguration: { portNumber: 80 } }", header)],
      GATEWAY,
    );
    expect(gateway.route("http.80").responseHeadersToAdd).toHaveLength(1);
  });

  it("VIRTUAL_HOST: MERGE by name or domain, ADD, REMOVE", () => {
    const merged = view([
      patch(
        "VIRTUAL_HOST",
        "MERGE",
        "{ routeConfiguration: { vhost: { domainName: web.default.svc.cluster.local } } }",
        "{ include_request_attempt_count: false, include_attempt_count_in_response: true }",
      ),
    ]);
    expect(merged.virtualHost("80", "web").includeAttemptCountInResponse).toBe(true);
    const added = view([
      patch(
        "VIRTUAL_HOST",
        "ADD",
        "{ context: SIDECAR_OUTBOUND, routeConfiguration: { name: '80' } }",
        "{ name: mine, domains: [mine.example], routes: [{ match: { prefix: / }, direct_response: { status: 418 } }] }",
      ),
      patch(
        "VIRTUAL_HOST",
        "REMOVE",
        "{ routeConfiguration: { vhost: { name: 'web.default.svc.cluster.local:80' } } }",
      ),
    ]);
    expect(added.route("80").virtualHosts.map(({ name }) => name)).toEqual(expect.arrayContaining(["mine"]));
    expect(() => added.virtualHost("80", "web")).toThrow("no virtual host");
  });

  it("HTTP_ROUTE: in every operation", () => {
    const names = (
      operation: string,
      route: string,
      value = "{ name: mine, match: { prefix: /mine }, direct_response: { status: 418 } }",
    ) =>
      view([
        patch(
          "HTTP_ROUTE",
          operation,
          `{ routeConfiguration: { name: "80", vhost: { name: "web.default.svc.cluster.local:80"${route} } } }`,
          value,
        ),
      ])
        .virtualHost("80", "web")
        .routes.map(({ name }) => name);
    const main = ", route: { name: main }";
    expect(names("ADD", "")).toEqual(["main", "mine"]);
    expect(names("INSERT_FIRST", "")).toEqual(["mine", "main"]);
    expect(names("INSERT_BEFORE", main)).toEqual(["mine", "main"]);
    expect(names("INSERT_AFTER", main)).toEqual(["main", "mine"]);
    expect(names("INSERT_BEFORE", ", route: { name: none }")).toEqual(["main"]);
    expect(names("REMOVE", main, "")).toEqual([]);
    expect(names("MERGE", ", route: { action: ROUTE }", "{ name: renamed }")).toEqual(["renamed"]);
    expect(names("MERGE", ", route: { action: REDIRECT }", "{ name: renamed }")).toEqual(["main"]);
  });
});

describe("which proxies", () => {
  const timeouts = (filters: string, node: NodeOptions = ENVOY) => ms(view(filters, node).cluster(WEB).connectTimeout);
  const set = (value: string, match = "{}") => [patch("CLUSTER", "MERGE", match, `{ connect_timeout: ${value} }`)];
  const plain = ms(view([]).cluster(WEB).connectTimeout);

  it("those that the selector selects, of the namespace or, from the root namespace, of all", () => {
    expect(timeouts(envoyFilter("f", set("1s"), { selects: "workloadSelector: { labels: { app: web } }," }))).toBe(
      1000,
    );
    expect(timeouts(envoyFilter("f", set("1s"), { selects: "workloadSelector: { labels: { app: db } }," }))).toBe(
      plain,
    );
    expect(timeouts(envoyFilter("f", set("1s"), { namespace: "other" }))).toBe(plain);
    expect(timeouts(envoyFilter("f", set("1s"), { namespace: "istio-system" }))).toBe(1000);
  });

  it("those of a Gateway that targetRefs name", () => {
    const selects = "targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: front }],";
    const filters = envoyFilter("f", set("1s"), { selects });
    expect(timeouts(filters, { ...GATEWAY, labels: { "gateway.networking.k8s.io/gateway-name": "front" } })).toBe(1000);
    expect(timeouts(filters, GATEWAY)).toBe(plain);
    expect(timeouts(filters)).toBe(plain);
  });

  it("the root namespace first, then by priority, age and name", () => {
    const own = envoyFilter("b", set("2s"));
    expect(timeouts(own + envoyFilter("a", set("1s"), { namespace: "istio-system", priority: 10 }))).toBe(2000);
    expect(timeouts(own + envoyFilter("a", set("1s"), { priority: 10 }))).toBe(1000);
    expect(timeouts(own + envoyFilter("a", set("1s"), { created: "2024-01-02T00:00:00Z" }))).toBe(1000);
    expect(timeouts(own + envoyFilter("a", set("1s")))).toBe(2000);
  });
});
