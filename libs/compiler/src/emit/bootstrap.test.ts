import { describe, expect, it } from "vitest";
import { envoyFilter, patch } from "../testing/extensions.ts";
import { compilerFor, type NodeOptions, nodeOf, objectsFrom } from "../testing/mesh.ts";

const HTTP2 = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: {} },
  },
};
const BOOTSTRAP = {
  node: { id: "sidecar~10.1.0.1~client.default~default.svc.cluster.local" },
  admin: { address: { socket_address: { address: "127.0.0.1", port_value: 15000 } } },
  static_resources: {
    clusters: [{ name: "xds-grpc", connect_timeout: "1s", typed_extension_protocol_options: HTTP2 }],
  },
};

function patched(filters: string, node: NodeOptions = { envoy: true }): Record<string, unknown> {
  const result = compilerFor(objectsFrom(filters)).bootstrap(nodeOf(node), BOOTSTRAP);
  if (!result.ok) throw new Error(result.error);
  return result.value as Record<string, unknown>;
}
const merge = (value: string, match = "{}", operation = "MERGE") => patch("BOOTSTRAP", operation, match, value);
const FLUSH = "{ stats_flush_interval: 7s }";

describe("the bootstrap of a stock Envoy", () => {
  it("is printed as it is when nothing patches it", () => {
    expect(patched("")).toBe(BOOTSTRAP);
    expect(patched(envoyFilter("f", [patch("CLUSTER", "MERGE", "{}", "{ connect_timeout: 1s }")]))).toBe(BOOTSTRAP);
  });

  it("is merged: fields replaced, lists appended, the rest kept", () => {
    const value = `{ admin: { address: { socket_address: { port_value: 16000 } } },
      static_resources: { clusters: [{ name: extra, connect_timeout: 2s }] }, stats_flush_interval: 7s }`;
    expect(patched(envoyFilter("f", [merge(value)]))).toEqual({
      node: BOOTSTRAP.node,
      admin: { address: { socket_address: { address: "127.0.0.1", port_value: 16000 } } },
      static_resources: {
        clusters: [...BOOTSTRAP.static_resources.clusters, { name: "extra", connect_timeout: "2s" }],
      },
      stats_flush_interval: "7s",
    });
  });

  it("may have its lists replaced", () => {
    const value = "{ static_resources: { clusters: [{ name: only }] } }";
    expect(patched(envoyFilter("f", [merge(value, "{}", "MERGE_AND_REPLACE_LIST")]))).toMatchObject({
      static_resources: { clusters: [{ name: "only" }] },
    });
  });

  it.each([
    ["a gateway of", "{ context: GATEWAY }", { envoy: true, kind: "router" }, true],
    ["no sidecar of", "{ context: GATEWAY }", { envoy: true }, false],
    ["a sidecar of", "{ context: SIDECAR_OUTBOUND }", { envoy: true }, true],
    ["no gateway of", "{ context: SIDECAR_INBOUND }", { envoy: true, kind: "router" }, false],
  ] as const)("%s context %s", (_title, match, node, changed) => {
    const result = patched(envoyFilter("f", [merge(FLUSH, match)]), node);
    expect(result.stats_flush_interval).toBe(changed ? "7s" : undefined);
  });

  it("is patched for the workloads that are selected, in the order of EnvoyFilters", () => {
    const two =
      envoyFilter("a", [merge("{ stats_flush_interval: 1s }")], { priority: 5 }) + envoyFilter("b", [merge(FLUSH)]);
    expect(patched(two).stats_flush_interval).toBe("1s");
    const selects = "workloadSelector: { labels: { app: web } },";
    const one = envoyFilter("f", [merge(FLUSH)], { selects });
    expect(patched(one).stats_flush_interval).toBeUndefined();
    expect(patched(one, { envoy: true, labels: { app: "web" } }).stats_flush_interval).toBe("7s");
  });

  it("that is none is an error", () => {
    const compiler = compilerFor(objectsFrom(envoyFilter("f", [merge(FLUSH)])));
    expect(compiler.bootstrap(nodeOf({ envoy: true }), { nonsense: 1 })).toMatchObject({ ok: false });
  });
});

it("proxies of this project have none: that is told", () => {
  const compiler = compilerFor(objectsFrom(envoyFilter("f", [merge(FLUSH)])));
  const node = nodeOf();
  expect(compiler.bootstrap(node, BOOTSTRAP)).toEqual({ ok: true, value: BOOTSTRAP });
  expect(compiler.warnings().map(({ code, message }) => `${code} ${message}`)).toEqual([
    "LTN3122 EnvoyFilter/default/f: withheld from Lateen's sidecars: they have no bootstrap of Envoy's",
  ]);
});
