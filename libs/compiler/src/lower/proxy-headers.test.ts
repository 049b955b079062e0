import { meshConfigFromText } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { httpManagerOf, type NodeOptions, pod, service, viewOf } from "../testing/mesh.ts";

const WORLD = service("web", "10.0.0.1", ["http:80"]);
const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge }
spec: { selector: { app: gw }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }] }
---`;
const ROUTER: NodeOptions = { kind: "router", labels: { app: "gw" } };

function mesh(defaultConfig: string) {
  const read = meshConfigFromText(`defaultConfig: ${defaultConfig}`, "mesh");
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  return read.value;
}
const managerOf = (view: ReturnType<typeof viewOf>, listener: string) =>
  httpManagerOf(view.listener(listener).filterChains[0]?.filters.at(-1));
const hops = (view: ReturnType<typeof viewOf>) => managerOf(view, "0.0.0.0_80").xffNumTrustedHops;
const annotated = (text: string) =>
  pod("client", "10.1.0.1", { app: "gw" }).replace(
    "namespace: default,",
    `namespace: default, annotations: { proxy.istio.io/config: ${JSON.stringify(text)} },`,
  );

describe("settings of one proxy", () => {
  const config = mesh("{ gatewayTopology: { numTrustedProxies: 1 } }");
  const own = { PROXY_CONFIG: { gatewayTopology: { numTrustedProxies: 3 }, unknown: true } };

  it.each([
    ["without any, the mesh's", "", {}, 1],
    ["of the annotation of its pod", annotated("gatewayTopology: { numTrustedProxies: 2 }"), {}, 2],
    ["of other things in the annotation", annotated("concurrency: 2"), {}, 1],
    ["of an annotation that cannot be read", annotated("gatewayTopology: { numTrustedProxies: -1 }"), {}, 1],
    ["that it sends itself, for a pod nobody knows", "", own, 3],
    ["that it sends itself, for a known pod", pod("client", "10.1.0.1", { app: "gw" }), own, 1],
    ["that it sends in a form that cannot be read", "", { PROXY_CONFIG: "numTrustedProxies: 3" }, 1],
    ["that are too long", "", { PROXY_CONFIG: { gatewayTopology: { x: "x".repeat(5000) } } }, 1],
  ])("%s", (_title, objects, metadata, expected) => {
    expect(hops(viewOf(WORLD + GATEWAY + objects, { ...ROUTER, metadata }, config))).toBe(expected);
  });

  it("concern a gateway's topology at gateways only", () => {
    const view = viewOf(WORLD, {}, config);
    expect(managerOf(view, "0.0.0.0_80").xffNumTrustedHops).toBe(0);
  });
});

describe("a proxy behind a balancer that speaks the PROXY protocol", () => {
  it("reads its header before anything else", () => {
    const filters = (text: string) =>
      viewOf(WORLD + GATEWAY, ROUTER, mesh(text))
        .listener("0.0.0.0_80")
        .listenerFilters.map(({ name }) => name);
    expect(filters("{ gatewayTopology: { proxyProtocol: {} } }")).toEqual(["envoy.filters.listener.proxy_protocol"]);
    expect(filters("{ gatewayTopology: {} }")).toEqual([]);
  });
});

describe("headers that proxies add", () => {
  const routes = (text: string, node: NodeOptions, name: string) =>
    viewOf(WORLD + GATEWAY + BOUND, node, mesh(text))
      .route(name)
      .virtualHosts.map((host) => host.includeRequestAttemptCount);
  const BOUND = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web }
spec: { hosts: [a.example.com], gateways: [edge, mesh], http: [{ route: [{ destination: { host: web } }] }] }
---`;

  it.each([
    ["{}", true],
    ["{ proxyHeaders: { attemptCount: { disabled: true } } }", false],
    ["{ proxyHeaders: { attemptCount: { disabled: false } } }", true],
  ])("%s: requests count attempts: %s", (text, expected) => {
    for (const [node, name] of [
      [ROUTER, "http.80"],
      [{}, "80"],
    ] as const) {
      const found = routes(text, node, name);
      expect(found.length).toBeGreaterThan(0);
      expect(new Set(found)).toEqual(new Set([expected]));
    }
  });

  it.each([
    ["{}", { serverName: "", transformation: 0, requestId: undefined }],
    ["{ server: { value: shop } }", { serverName: "shop", transformation: 0, requestId: undefined }],
    ["{ server: { disabled: true, value: shop } }", { serverName: "", transformation: 2, requestId: undefined }],
    ["{ requestId: { disabled: true } }", { serverName: "", transformation: 0, requestId: false }],
  ])("%s is what a client's proxy answers with", (text, expected) => {
    const manager = managerOf(viewOf(WORLD, {}, mesh(`{ proxyHeaders: ${text} }`)), "0.0.0.0_80");
    const { serverName, serverHeaderTransformation: transformation, generateRequestId: requestId } = manager;
    expect({ serverName, transformation, requestId }).toEqual(expected);
  });
});
