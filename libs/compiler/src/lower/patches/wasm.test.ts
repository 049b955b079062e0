import type { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { TypedExtensionConfig } from "@lateen/proto/envoy/config/core/v3/extension";
import { Wasm } from "@lateen/proto/envoy/extensions/filters/http/wasm/v3/wasm";
import { StringValue } from "@lateen/proto/google/protobuf/wrappers";
import { describe, expect, it } from "vitest";
import { typeUrls } from "../../resource.ts";
import { httpFiltersOf, networkFiltersOf } from "../../testing/extensions.ts";
import {
  compilerFor,
  httpManagerOf,
  type NodeOptions,
  nodeOf,
  objectsFrom,
  ProxyView,
  pod,
  service,
  upstreamTlsOf,
} from "../../testing/mesh.ts";

const MESH =
  service("web", "10.0.0.1", ["http:80:8080", "http-b:81:8081"]) +
  service("db", "10.0.0.2", ["tcp:5432"]) +
  pod("web-1", "10.1.0.1", { app: "web" }) +
  `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: default }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/no] } }] }] }
---`;
const plugin = (name: string, spec: string, namespace = "default") => `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ${spec} }
---`;
const FILE = "url: 'file:///opt/a.wasm'";
const SHA = "0123456789abcdef".repeat(4);
const ENVOY: NodeOptions = { envoy: true, labels: { app: "web" } };
const RBAC = "envoy.filters.http.rbac";
const ROUTER = "envoy.filters.http.router";

function seen(yaml: string, node: NodeOptions = ENVOY) {
  const compiler = compilerFor(objectsFrom(MESH + yaml));
  const proxy = nodeOf(node);
  const view = new ProxyView(compiler, proxy);
  const extensions = compiler.resources(proxy, typeUrls.extension);
  const config = (name: string) => {
    const found = TypedExtensionConfig.decode(extensions.get(name)?.any.value ?? Buffer.alloc(0)).typedConfig;
    return Wasm.decode(found?.value ?? Buffer.alloc(0)).config;
  };
  return {
    view,
    config,
    extensions: [...extensions.keys()],
    inbound: httpFiltersOf(view.listener("virtualInbound"))[0] ?? [],
    outbound: httpFiltersOf(view.listener("0.0.0.0_80"))[0] ?? [],
    warnings: () => compiler.warnings().map(({ message }) => message),
  };
}

describe("a WasmPlugin", () => {
  it("is found by discovery, under its namespace and name", () => {
    const { view, config, extensions } = seen(
      plugin(
        "a",
        `${FILE}, pluginName: root, pluginConfig: { x: [1, { y: z }] }, vmConfig: { env: [{ name: A, value: b }, { name: H, valueFrom: HOST }] }`,
      ),
    );
    expect(extensions).toEqual(["default.a"]);
    const chain = view.listener("virtualInbound").filterChains.find(({ name }) => name === "0.0.0.0_8080");
    const filter = httpManagerOf(chain?.filters[0]).httpFilters.find(({ name }) => name === "default.a")?.configType;
    expect(filter).toMatchObject({
      $case: "configDiscovery",
      value: {
        configSource: { configSourceSpecifier: { $case: "ads" } },
        defaultConfig: undefined,
        typeUrls: ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
      },
    });
    expect(config("default.a")).toMatchObject({
      name: "default.a",
      rootId: "root",
      failOpen: false,
      vm: {
        value: {
          runtime: "envoy.wasm.runtime.v8",
          code: { specifier: { $case: "local", value: { specifier: { $case: "filename", value: "/opt/a.wasm" } } } },
          environmentVariables: { hostEnvKeys: ["H"], keyValues: { A: "b" } },
        },
      },
    });
    const { configuration } = config("default.a") ?? {};
    expect(configuration?.typeUrl).toBe("type.googleapis.com/google.protobuf.StringValue");
    expect(StringValue.decode(configuration?.value ?? Buffer.alloc(0)).value).toBe('{"x":[1,{"y":"z"}]}');
  });

  it("goes without where it may fail open", () => {
    const { view, config } = seen(plugin("a", `${FILE}, failStrategy: FAIL_OPEN`));
    expect(config("default.a")?.failOpen).toBe(true);
    const filters = httpManagerOf(
      view.listener("virtualInbound").filterChains.find(({ name }) => name === "0.0.0.0_8080")?.filters[0],
    ).httpFilters;
    const filter = filters.find(({ name }) => name === "default.a")?.configType;
    expect(filter?.$case === "configDiscovery" && filter.value.defaultConfig?.typeUrl).toBe(
      "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
    );
  });

  it("gets code from afar by its digest, over TLS where the URL says so", () => {
    const { view, config } = seen(plugin("a", `url: 'https://code.example/a.wasm', sha256: ${SHA}`));
    const name = "wasm|443||code.example|tls";
    expect(config("default.a")?.vm?.value.code?.specifier).toMatchObject({
      $case: "remote",
      value: { sha256: SHA, httpUri: { uri: "https://code.example/a.wasm", httpUpstreamType: { value: name } } },
    });
    const cluster: Cluster = view.cluster(name);
    expect(upstreamTlsOf(cluster)?.sni).toBe("code.example");
    expect(
      seen(plugin("a", `url: 'http://code.example:8080/a.wasm', sha256: ${SHA}`)).view.cluster(
        "wasm|8080||code.example",
      ).transportSocket,
    ).toBeUndefined();
  });

  it.each([
    ["AUTHN", ["default.a", RBAC, ROUTER]],
    ["AUTHZ", ["default.a", RBAC, ROUTER]],
    ["STATS", [RBAC, "default.a", ROUTER]],
    ["UNSPECIFIED_PHASE", [RBAC, "default.a", ROUTER]],
  ])("stands in phase %s", (phase, expected) => {
    expect(seen(plugin("a", `${FILE}, phase: ${phase}`)).inbound).toEqual(expected);
  });

  it("stands before those of a lower priority, and of the same one by name", () => {
    const all = plugin("c", FILE) + plugin("b", FILE) + plugin("a", `${FILE}, priority: 10`);
    expect(seen(all).inbound).toEqual([RBAC, "default.a", "default.b", "default.c", ROUTER]);
    // AUTHN comes before AUTHZ, whatever their priorities.
    const phases = plugin("z", `${FILE}, phase: AUTHZ, priority: 9`) + plugin("n", `${FILE}, phase: AUTHN`);
    expect(seen(phases).inbound).toEqual(["default.n", "default.z", RBAC, ROUTER]);
  });

  it.each([
    ["CLIENT", false, true],
    ["SERVER", true, false],
    ["CLIENT_AND_SERVER", true, true],
    ["UNDEFINED", true, true],
  ])("is for %s", (mode, server, client) => {
    const { inbound, outbound } = seen(plugin("a", `${FILE}, match: [{ mode: ${mode} }]`));
    expect([inbound.includes("default.a"), outbound.includes("default.a")]).toEqual([server, client]);
  });

  it("is for ports, once, if any of its selectors is met", () => {
    const { view } = seen(
      plugin("a", `${FILE}, match: [{ mode: SERVER, ports: [{ number: 8081 }] }, { ports: [{ number: 8081 }] }]`),
    );
    const chains = view
      .listener("virtualInbound")
      .filterChains.filter(({ filters: [filter] }) => filter?.name.endsWith("http_connection_manager"));
    for (const chain of chains) {
      const count = httpManagerOf(chain.filters[0]).httpFilters.filter(({ name }) => name === "default.a").length;
      expect(count).toBe(chain.filterChainMatch?.destinationPort === 8081 ? 1 : 0);
    }
  });

  it("may be of connections", () => {
    const { view } = seen(plugin("a", `${FILE}, type: NETWORK`));
    expect(networkFiltersOf(view.listener("10.0.0.2_5432"))[0]).toEqual([
      "default.a",
      "envoy.filters.network.tcp_proxy",
    ]);
    expect(httpFiltersOf(view.listener("0.0.0.0_80"))[0]).not.toContain("default.a");
  });

  it("is for the workloads that it selects", () => {
    const extensions = (spec: string, namespace = "default", node = ENVOY) =>
      seen(plugin("a", `${FILE}, ${spec}`, namespace), node).extensions;
    expect(extensions("selector: { matchLabels: { app: web } }")).toEqual(["default.a"]);
    expect(extensions("selector: { matchLabels: { app: db } }")).toEqual([]);
    expect(extensions("priority: 1", "other")).toEqual([]);
    expect(extensions("selector: { matchLabels: { app: web } }", "istio-system")).toEqual(["istio-system.a"]);
    expect(extensions("targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: g }]")).toEqual([]);
  });
});

describe("a proxy that runs no plugins", () => {
  const LATEEN: NodeOptions = { labels: { app: "web" } };
  it("refuses everything in their place, and says so", () => {
    const { inbound, outbound, extensions, warnings } = seen(plugin("a", `${FILE}, match: [{ mode: SERVER }]`), LATEEN);
    expect(inbound.filter((name) => name === RBAC)).toHaveLength(2);
    expect(outbound).not.toContain(RBAC);
    expect(extensions).toEqual([]);
    expect(warnings()).toEqual([
      "WasmPlugin/default/a: withheld from Lateen's sidecars: they cannot run envoy.extensions.filters.http.wasm.v3.Wasm, and must not go without it: they refuse everything in its place",
    ]);
  });

  it("goes without those that may fail open, and says so", () => {
    const { inbound, warnings } = seen(plugin("a", `${FILE}, failStrategy: FAIL_OPEN`), LATEEN);
    expect(inbound.filter((name) => name === RBAC)).toHaveLength(1);
    expect(warnings()).toHaveLength(1);
  });

  it("may be an Envoy that was built without", () => {
    const extensions = [{ category: "envoy.filters.http", typeUrls: ["envoy.extensions.filters.http.lua.v3.Lua"] }];
    const { inbound, warnings } = seen(plugin("a", FILE), { ...ENVOY, extensions });
    expect(inbound.filter((name) => name === RBAC)).toHaveLength(2);
    expect(warnings()).toHaveLength(1);
  });
});
