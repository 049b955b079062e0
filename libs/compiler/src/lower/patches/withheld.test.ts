import { RBAC } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import { listenerSpec } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { typeUrls } from "../../resource.ts";
import { at, envoyFilter, httpFiltersOf, lua, networkFiltersOf, patch } from "../../testing/extensions.ts";
import {
  compilerFor,
  httpManagerOf,
  ms,
  type NodeOptions,
  nodeOf,
  objectsFrom,
  ProxyView,
  pod,
  service,
} from "../../testing/mesh.ts";
import { run } from "../../testing/simulate.ts";

const MESH =
  service("web", "10.0.0.1", ["http:80:8080"]) +
  service("db", "10.0.0.2", ["tcp:5432"]) +
  pod("web-1", "10.1.0.1", { app: "web" });
const WEB = "outbound|80||web.default.svc.cluster.local";
const ROUTER = "envoy.filters.http.router";
const RBAC_FILTER = "envoy.filters.http.rbac";
const LATEEN: NodeOptions = { labels: { app: "web" } };

/** What a proxy gets, and what is said about what it does not get. */
function seen(yaml: string, node: NodeOptions = LATEEN) {
  const compiler = compilerFor(objectsFrom(MESH + yaml));
  const proxy = nodeOf(node);
  const view = new ProxyView(compiler, proxy);
  compiler.resources(proxy, typeUrls.listener);
  return { view, warnings: compiler.warnings().map(({ code, path, message }) => `${code} ${path} ${message}`) };
}
const inbound = (view: ProxyView) => httpFiltersOf(view.listener("virtualInbound"))[0];
const jwt = `{ name: jwt, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication } }`;
const TYPE = (kind: string) => `type.googleapis.com/envoy.extensions.filters.${kind}`;

describe("what a proxy of this project cannot run", () => {
  it("is withheld from it alone and told of", () => {
    const filter = envoyFilter("f", [patch("HTTP_FILTER", "INSERT_FIRST", at("SIDECAR_INBOUND"), lua("a"))]);
    const { view, warnings } = seen(filter);
    expect(inbound(view)).not.toContain("a");
    expect(inbound(view)).not.toContain(RBAC_FILTER);
    expect(warnings).toEqual([
      "LTN3122 spec.configPatches[0] EnvoyFilter/default/f: withheld from Lateen's sidecars: they cannot run envoy.extensions.filters.http.lua.v3.Lua",
    ]);
    expect(inbound(seen(filter, { ...LATEEN, envoy: true }).view)).toContain("a");
    expect(seen(filter, { ...LATEEN, envoy: true }).warnings).toEqual([]);
  });

  it("is told of where a proxy that it selects is connected, and not of others", () => {
    const filter = envoyFilter("f", [patch("HTTP_FILTER", "ADD", "{}", lua("a"))], {
      selects: "workloadSelector: { labels: { app: other } },",
    });
    expect(seen(filter).warnings).toEqual([]);
  });

  it("refuses everything where it would have decided on access", () => {
    const { view, warnings } = seen(
      envoyFilter("f", [patch("HTTP_FILTER", "INSERT_BEFORE", at("SIDECAR_INBOUND", ROUTER), jwt)]),
    );
    expect(inbound(view)?.slice(-2)).toEqual([RBAC_FILTER, ROUTER]);
    const manager = view.listener("virtualInbound").filterChains.find(({ name }) => name === "0.0.0.0_8080")
      ?.filters[0];
    const config = httpManagerOf(manager).httpFilters.at(-2)?.configType;
    const rules = config?.$case === "typedConfig" ? RBAC.decode(config.value.value).rules : undefined;
    expect(rules).toMatchObject({ action: 1, policies: { withheld: { permissions: [{}], principals: [{}] } } });
    expect(warnings[0]).toContain("must not go without it: they refuse everything in its place");
  });

  it.each([
    ["of class AUTHZ", patch("HTTP_FILTER", "ADD", at("SIDECAR_INBOUND"), lua("a"), ", filterClass: AUTHZ")],
    [
      "merged into the control plane's",
      patch("HTTP_FILTER", "MERGE", at("SIDECAR_INBOUND", "istio.peer_metadata"), jwt),
    ],
    [
      "found by discovery",
      patch(
        "HTTP_FILTER",
        "ADD",
        at("SIDECAR_INBOUND"),
        `{ name: a, config_discovery: { config_source: { ads: {} }, type_urls: ["${TYPE("http.ext_authz.v3.ExtAuthz")}"] } }`,
      ),
    ],
    [
      "in a struct",
      patch(
        "HTTP_FILTER",
        "ADD",
        at("SIDECAR_INBOUND"),
        `{ name: a, typed_config: { "@type": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: "${TYPE("http.oauth2.v3.OAuth2")}", value: {} } }`,
      ),
    ],
  ])("refuses everything in the place of a filter %s", (_title, text) => {
    expect(inbound(seen(envoyFilter("f", [text])).view)).toContain(RBAC_FILTER);
  });

  it("refuses connections in the place of a network filter that decides on access", () => {
    const authz = `{ name: a, typed_config: { "@type": ${TYPE("network.ext_authz.v3.ExtAuthz")}, stat_prefix: a } }`;
    const match = "{ context: SIDECAR_OUTBOUND, listener: { portNumber: 5432 } }";
    const { view } = seen(envoyFilter("f", [patch("NETWORK_FILTER", "INSERT_FIRST", match, authz)]));
    expect(networkFiltersOf(view.listener("10.0.0.2_5432"))[0]).toEqual([
      "envoy.filters.network.rbac",
      "envoy.filters.network.tcp_proxy",
    ]);
  });

  it.each([
    [
      "a field of a cluster",
      patch(
        "CLUSTER",
        "MERGE",
        "{}",
        "{ health_checks: [{ timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1 }] }",
      ),
      "do not honour healthChecks",
    ],
    [
      "a field of a route",
      patch("HTTP_ROUTE", "MERGE", "{}", "{ route: { priority: HIGH } }"),
      "do not honour route.priority",
    ],
    [
      "a listener",
      patch("LISTENER", "MERGE", "{}", "{ per_connection_buffer_limit_bytes: 1 }"),
      "take no patches of LISTENER",
    ],
    ["a chain", patch("FILTER_CHAIN", "MERGE", "{}", "{ name: a }"), "take no patches of FILTER_CHAIN"],
    [
      "a listener filter",
      patch(
        "LISTENER_FILTER",
        "ADD",
        "{}",
        `{ name: a, typed_config: { "@type": ${TYPE("listener.proxy_protocol.v3.ProxyProtocol")} } }`,
      ),
      "cannot run the listener filter envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    ],
    [
      "a configuration",
      patch("EXTENSION_CONFIG", "ADD", "{}", `{ name: a, typed_config: { "@type": ${TYPE("http.lua.v3.Lua")} } }`),
      "do not ask for extension configurations",
    ],
  ])("may be %s", (_title, text, reason) => {
    const { view, warnings } = seen(envoyFilter("f", [text]));
    expect(warnings[0]?.endsWith(`they ${reason}`) && warnings.length).toBe(1);
    expect(view.listener("virtualInbound")).toEqual(seen("").view.listener("virtualInbound"));
    expect(view.cluster(WEB)).toEqual(seen("").view.cluster(WEB));
  });

  const MANAGER = "envoy.filters.network.http_connection_manager";
  const merged = (fields: string, operation = "MERGE") =>
    envoyFilter("f", [
      patch(
        "NETWORK_FILTER",
        operation,
        `{ context: SIDECAR_INBOUND, listener: { filterChain: { filter: { name: ${MANAGER} } } } }`,
        `{ name: ${MANAGER}, typed_config: { "@type": ${TYPE("network.http_connection_manager.v3.HttpConnectionManager")}, ${fields} } }`,
      ),
    ]);
  const managers = (view: ProxyView) =>
    view
      .listener("virtualInbound")
      .filterChains.flatMap(({ filters }) => filters.filter(({ name }) => name === MANAGER))
      .map((filter) => httpManagerOf(filter));

  it("is not what its connection managers honour", () => {
    const { view, warnings } = seen(
      merged(
        "server_header_transformation: PASS_THROUGH, server_name: shop, stream_idle_timeout: 7s, request_timeout: 8s, use_remote_address: true, " +
          "xff_num_trusted_hops: 2, merge_slashes: true, normalize_path: true, path_with_escaped_slashes_action: REJECT_REQUEST, " +
          "strip_any_host_port: true, preserve_external_request_id: true, always_set_request_id_in_response: true, " +
          "common_http_protocol_options: { headers_with_underscores_action: DROP_HEADER, idle_timeout: 9s }, " +
          "http_protocol_options: { allow_custom_methods: true }, http2_protocol_options: { max_concurrent_streams: 50 }, " +
          "upgrade_configs: [{ upgrade_type: CONNECT, enabled: false }]",
      ),
    );
    expect(warnings).toEqual([]);
    expect(managers(view).length).toBeGreaterThan(0);
    for (const manager of managers(view)) {
      expect(manager).toMatchObject({
        serverHeaderTransformation: 2,
        serverName: "shop",
        useRemoteAddress: true,
        xffNumTrustedHops: 2,
        mergeSlashes: true,
        pathWithEscapedSlashesAction: 2,
        commonHttpProtocolOptions: { headersWithUnderscoresAction: 2 },
        http2ProtocolOptions: { maxConcurrentStreams: 50 },
      });
      expect(ms(manager.streamIdleTimeout)).toBe(7000);
    }
    // As its proxy decodes it: what that cannot honour throws.
    const spec = listenerSpec(view.listener("virtualInbound"), run());
    const terminals = spec.chains.flatMap(({ terminal }) => (terminal.kind === "http" ? [terminal] : []));
    expect(new Set(terminals.map(({ underscores, serverHeader }) => `${underscores} ${serverHeader}`))).toEqual(
      new Set(["drop passThrough"]),
    );
  });

  it("is what they do not honour, by name, and not the rest of the patch", () => {
    const { view, warnings } = seen(
      merged(
        "merge_slashes: true, max_request_headers_kb: 96, local_reply_config: {}, " +
          "common_http_protocol_options: { max_headers_count: 200, headers_with_underscores_action: REJECT_REQUEST }",
        "MERGE_AND_REPLACE_LIST",
      ),
    );
    expect(warnings).toEqual([
      "LTN3122 spec.configPatches[0] EnvoyFilter/default/f: withheld from Lateen's sidecars: they do not honour commonHttpProtocolOptions.maxHeadersCount, maxRequestHeadersKb, localReplyConfig, and get the rest",
    ]);
    for (const manager of managers(view)) {
      expect(manager.mergeSlashes).toBe(true);
      expect(manager.commonHttpProtocolOptions?.headersWithUnderscoresAction).toBe(1);
      expect(manager.maxRequestHeadersKb).not.toBe(96);
    }
    expect(() => listenerSpec(view.listener("virtualInbound"), run())).not.toThrow();
  });

  it("does not hold back what it can: other patches, fields that it honours, filters that it lists", () => {
    const { view, warnings } = seen(
      envoyFilter("f", [
        patch("HTTP_FILTER", "ADD", at("SIDECAR_INBOUND"), lua("a")),
        patch("CLUSTER", "MERGE", "{}", "{ connect_timeout: 1.5s }"),
        patch("HTTP_FILTER", "REMOVE", at("SIDECAR_INBOUND", "istio.stats")),
      ]),
    );
    expect(ms(view.cluster(WEB).connectTimeout)).toBe(1500);
    expect(inbound(view)).not.toContain("istio.stats");
    expect(warnings).toHaveLength(1);
    const metadata = { LATEEN_EXTENSIONS: ["istio.stats", "envoy.extensions.filters.http.lua.v3.Lua"] };
    const able = seen(envoyFilter("f", [patch("HTTP_FILTER", "ADD", "{}", lua("a"))]), { ...LATEEN, metadata });
    expect(inbound(able.view)).toContain("a");
    expect(able.warnings).toEqual([]);
  });
});

describe("what an Envoy cannot run", () => {
  const stats = `{ name: istio.stats, typed_config: { "@type": type.googleapis.com/stats.PluginConfig } }`;
  const filter = envoyFilter("f", [
    patch("HTTP_FILTER", "ADD", "{}", stats),
    patch("HTTP_FILTER", "ADD", "{}", lua("a")),
  ]);
  const extension = (type: string) => ({ category: "envoy.filters.http", typeUrls: [type] });

  it("is what is not Envoy's own, where it does not list its extensions", () => {
    const { view, warnings } = seen(filter, { ...LATEEN, envoy: true });
    expect(inbound(view)).toEqual(["a", ROUTER]);
    expect(warnings).toEqual([
      "LTN3122 spec.configPatches[0] EnvoyFilter/default/f: withheld from some sidecars: they cannot run stats.PluginConfig",
    ]);
  });

  it("is what it does not list", () => {
    const node = { ...LATEEN, envoy: true, extensions: [extension("stats.PluginConfig")] };
    expect(inbound(seen(filter, node).view)).toEqual(["istio.stats", ROUTER]);
  });
});

describe("a patch that cannot be read", () => {
  it.each([
    ["a field that is not there", patch("CLUSTER", "MERGE", "{}", "{ conect_timeout: 1s }"), "conect_timeout"],
    ["a bad value", patch("CLUSTER", "MERGE", "{}", "{ connect_timeout: soon }"), "soon"],
    [
      "a type that is not there",
      patch("HTTP_FILTER", "ADD", "{}", '{ name: a, typed_config: { "@type": type.googleapis.com/no.Such } }'),
      "no.Such",
    ],
    ["no name where one is needed", patch("CLUSTER", "ADD", "{}", "{ connect_timeout: 1s }"), "needs a name"],
  ])("for %s changes nothing, and others of its object do", (_title, text, reason) => {
    const good = patch("CLUSTER", "MERGE", "{}", "{ connect_timeout: 1.5s }");
    const { view, warnings } = seen(envoyFilter("f", [text, good]), { ...LATEEN, envoy: true });
    expect(ms(view.cluster(WEB).connectTimeout)).toBe(1500);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("LTN3121 spec.configPatches[0].patch.value EnvoyFilter/default/f: ");
    expect(warnings[0]).toContain(reason);
  });
});

describe("what a patch asks of proxies", () => {
  const timed = (proxy: string) =>
    envoyFilter("f", [patch("CLUSTER", "MERGE", `{ proxy: ${proxy} }`, "{ connect_timeout: 1.5s }")]);
  const metadata = { ISTIO_VERSION: "1.9.3", TEAM: "a" };
  it.each([
    ["{ proxyVersion: '^1\\.9.*' }", true],
    ["{ proxyVersion: '^1\\.8.*' }", false],
    ["{ metadata: { TEAM: a } }", true],
    ["{ metadata: { TEAM: b } }", false],
    ["{ proxyVersion: '9', metadata: { TEAM: a } }", true],
  ])("%s: %s", (proxy, applies) => {
    const { view } = seen(timed(proxy), { ...LATEEN, envoy: true, metadata });
    expect(ms(view.cluster(WEB).connectTimeout) === 1500).toBe(applies);
  });
});
