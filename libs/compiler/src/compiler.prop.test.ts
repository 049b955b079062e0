import { defaultMeshConfig, keyOf, type Resource } from "@lateen/mesh-model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Compiler, createCompiler } from "./compiler.ts";
import type { XdsNode } from "./node.ts";
import { typeUrls } from "./resource.ts";
import { at, envoyFilter, lua, patch } from "./testing/extensions.ts";
import { described, nodeOf, objectsFrom, pod, service } from "./testing/mesh.ts";

/** Every object in some variants; a world has at most one variant of each. */
const VARIANTS: readonly (readonly Resource[])[] = [
  [service("a", "10.0.0.1", ["http:80"]), service("a", "10.0.0.1", ["http:80", "tcp:90"])],
  [
    service("b", "10.0.0.2", ["tcp:90:9090"]),
    service("b", "10.0.0.2", [":80"]),
    service("b", "10.0.0.2", ["http:80"], { exportTo: "." }),
  ],
  [pod("a-1", "10.1.0.1", { app: "a", version: "v1" }), pod("a-1", "10.1.0.1", { app: "a" }, { ready: false })],
  [pod("b-1", "10.1.0.2", { app: "b" }), pod("b-1", "10.1.0.3", { app: "b" }, { account: "b", mesh: false })],
  [
    rule("DestinationRule", "dr", "{ host: a, subsets: [{ name: v1, labels: { version: v1 } }] }"),
    rule("DestinationRule", "dr", "{ host: '*.default.svc.cluster.local', trafficPolicy: { tls: { mode: DISABLE } } }"),
  ],
  [
    rule("VirtualService", "vs", "{ hosts: [a], http: [{ route: [{ destination: { host: a, subset: v1 } }] }] }"),
    rule(
      "VirtualService",
      "vs",
      "{ hosts: ['*.example.com', b], gateways: [mesh, gw], http: [{ match: [{ sourceLabels: { app: a } }], route: [{ destination: { host: a } }] }, { route: [{ destination: { host: b } }] }] }",
    ),
  ],
  [
    rule(
      "Gateway",
      "gw",
      "{ selector: { istio: gw }, servers: [{ port: { number: 80, name: h, protocol: HTTP }, hosts: ['*'] }] }",
    ),
  ],
  [
    rule(
      "ServiceEntry",
      "se",
      "{ hosts: [x.example.com], resolution: DNS, ports: [{ number: 443, name: t, protocol: TLS }] }",
    ),
    rule(
      "ServiceEntry",
      "se",
      "{ hosts: [x.example.com], location: MESH_INTERNAL, resolution: STATIC, workloadSelector: { labels: { app: a } }, ports: [{ number: 80, name: h, protocol: HTTP }] }",
    ),
  ],
  [
    rule("Sidecar", "sc", "{ egress: [{ hosts: ['./*'] }], outboundTrafficPolicy: { mode: REGISTRY_ONLY } }"),
    rule(
      "Sidecar",
      "sc",
      "{ workloadSelector: { labels: { app: a } }, egress: [{ hosts: ['default/a.default.svc.cluster.local'] }] }",
    ),
  ],
  [
    security("PeerAuthentication", "pa", "{ mtls: { mode: STRICT } }"),
    security("PeerAuthentication", "pa", "{ selector: { matchLabels: { app: b } }, mtls: { mode: DISABLE } }"),
  ],
  [
    security(
      "AuthorizationPolicy",
      "ap",
      "{ selector: { matchLabels: { app: a } }, rules: [{ to: [{ operation: { methods: [GET] } }] }] }",
    ),
  ],
  // The gateway's pod is behind service `front`, which only the first variant names.
  [
    api(
      "Gateway",
      "edge",
      "{ gatewayClassName: istio, addresses: [{ type: Hostname, value: front.default.svc.cluster.local }], listeners: [{ name: h, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: All } } }] }",
    ),
    api(
      "Gateway",
      "edge",
      "{ gatewayClassName: istio, listeners: [{ name: h, port: 80, protocol: HTTP, hostname: a.com }] }",
    ),
  ],
  [service("front", "10.0.0.9", ["http:80"], { selector: { istio: "gw" } })],
  [
    api("HTTPRoute", "r", "{ parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: a, port: 80 }] }] }"),
    api(
      "HTTPRoute",
      "r",
      "{ parentRefs: [{ name: edge }, { group: '', kind: Service, name: a }], hostnames: [a.com], rules: [{ matches: [{ path: { value: /x } }], backendRefs: [{ name: b, port: 80 }] }] }",
    ),
  ],
  [
    api(
      "HTTPRoute",
      "s",
      "{ parentRefs: [{ name: edge, namespace: default }, { group: '', kind: Service, name: a, namespace: default }], rules: [{ matches: [{ method: POST }], backendRefs: [{ namespace: default, name: a, port: 80 }] }] }",
      "other",
    ),
  ],
  [
    api(
      "ReferenceGrant",
      "g",
      "{ from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: other }], to: [{ group: '', kind: Service }] }",
    ),
  ],
  [
    envoyFilter("ef", [
      patch("CLUSTER", "MERGE", "{}", "{ connect_timeout: 1.5s }"),
      patch("HTTP_FILTER", "ADD", at("ANY"), lua("x"), ", filterClass: AUTHZ"),
    ]),
    envoyFilter(
      "ef",
      [
        patch("CLUSTER", "ADD", "{ proxy: { metadata: { NAMESPACE: default } } }", "{ name: extra, type: STATIC }"),
        patch("VIRTUAL_HOST", "REMOVE", "{ routeConfiguration: { vhost: { domainName: a } } }"),
      ],
      { selects: "workloadSelector: { labels: { app: b } }," },
    ),
  ],
  [
    envoyFilter("ef", [patch("HTTP_FILTER", "INSERT_BEFORE", at("ANY", "x"), lua("y"))], { namespace: "istio-system" }),
    envoyFilter("ef", [patch("CLUSTER", "MERGE", "{}", "{ connect_timeout: 2s }")], { namespace: "istio-system" }),
  ],
  [
    "\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: { name: w }\nspec: { url: 'file:///w', match: [{ mode: SERVER }] }\n",
    "\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: { name: w }\nspec: { url: 'file:///w', failStrategy: FAIL_OPEN, selector: { matchLabels: { app: b } } }\n",
  ],
  [
    object("telemetry.istio.io/v1", "Telemetry", "t", "{ accessLogging: [{ providers: [{ name: envoy }] }] }"),
    object(
      "telemetry.istio.io/v1",
      "Telemetry",
      "t",
      "{ selector: { matchLabels: { app: a } }, metrics: [{ providers: [{ name: prometheus }], overrides: [{ match: { metric: REQUEST_COUNT }, disabled: true }] }] }",
    ),
  ],
  [
    security(
      "RequestAuthentication",
      "ra",
      "{ selector: { matchLabels: { app: a } }, jwtRules: [{ issuer: i, jwks: '{\"keys\":[]}' }] }",
    ),
  ],
  [rule("ProxyConfig", "pc", "{ concurrency: 2, environmentVariables: { A: b } }").replace("/v1\n", "/v1beta1\n")],
  [
    rule("WorkloadEntry", "we", "{ address: 10.1.0.7, labels: { app: a, version: v1 }, ports: { h: 8080 } }"),
    rule("WorkloadEntry", "we", "{ address: 10.1.0.8, labels: { app: a }, locality: r/z, weight: 3 }"),
  ],
  [api("GRPCRoute", "gr", "{ parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: a, port: 80 }] }] }")],
  [
    api(
      "TLSRoute",
      "tr",
      "{ parentRefs: [{ name: edge }], hostnames: [t.com], rules: [{ backendRefs: [{ name: b, port: 80 }] }] }",
    ),
  ],
  [
    api(
      "TCPRoute",
      "tc",
      "{ parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: b, port: 80 }] }] }",
    ).replace("/v1\n", "/v1alpha2\n"),
  ],
  [
    api(
      "BackendTLSPolicy",
      "bt",
      "{ targetRefs: [{ group: '', kind: Service, name: a }], validation: { hostname: a.com, wellKnownCACertificates: System } }",
    ),
  ],
  [
    object("v1", "Namespace", "default", undefined, ", labels: { topology.istio.io/network: n }"),
    object("v1", "Namespace", "default", undefined),
  ],
  [object("v1", "Node", "node-1", undefined, ", labels: { topology.kubernetes.io/region: r }")],
  [
    `\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: { name: i }\nspec: { ingressClassName: istio, defaultBackend: { service: { name: a, port: { name: http } } } }\n`,
  ],
].map((texts) => texts.flatMap((text) => objectsFrom(text)));

function api(kind: string, name: string, spec: string, namespace = "default"): string {
  return `\napiVersion: gateway.networking.k8s.io/v1\nkind: ${kind}\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: ${spec}\n`;
}

function object(apiVersion: string, kind: string, name: string, spec: string | undefined, more = ""): string {
  const body = spec === undefined ? "" : `spec: ${spec}\n`;
  return `\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name}${more} }\n${body}`;
}
function rule(kind: string, name: string, spec: string): string {
  return object("networking.istio.io/v1", kind, name, spec);
}
function security(kind: string, name: string, spec: string): string {
  return object("security.istio.io/v1", kind, name, spec);
}

const NODES: readonly XdsNode[] = [
  nodeOf({ labels: { app: "a", version: "v1" }, ports: [{ containerPort: 80 }] }),
  nodeOf({ labels: { app: "b" }, ports: [{ containerPort: 9090 }], envoy: true }),
  nodeOf({ namespace: "other", labels: { app: "c" } }),
  nodeOf({ kind: "router", labels: { istio: "gw" } }),
  nodeOf({ kind: "router", namespace: "istio-system", labels: { istio: "ingressgateway" } }),
];
const CONFIGS = [
  defaultMeshConfig(),
  defaultMeshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" }, trustDomain: "td" }),
];

interface Step {
  readonly object: number;
  readonly variant: number;
  readonly config: number | undefined;
  /** Which node asks, and whether it asks for all or by name. */
  readonly node: number;
  readonly named: boolean;
}
const step: fc.Arbitrary<Step> = fc.record({
  object: fc.nat(VARIANTS.length - 1),
  variant: fc.nat(3),
  config: fc.option(fc.nat(1), { nil: undefined, freq: 8 }),
  node: fc.nat(NODES.length - 1),
  named: fc.boolean(),
});

type Answer = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Versions of everything a node gets, by type and name. */
function answer(compiler: Compiler, node: XdsNode): Answer {
  return Object.fromEntries(
    Object.entries(typeUrls).map(([type, url]) => [
      type,
      Object.fromEntries([...compiler.resources(node, url)].map(([name, resource]) => [name, resource.version])),
    ]),
  );
}

/** A variant beyond the last stands for: the object is gone. */
function play(compiler: Compiler, world: Map<string, Resource>, { object, variant, config }: Step): void {
  const variants = VARIANTS[object] ?? [];
  const chosen = variants[variant];
  const key = keyOf(chosen ?? (variants[0] as Resource));
  if (chosen === undefined) world.delete(key);
  else world.set(key, chosen);
  compiler.apply({
    upserted: chosen === undefined ? [] : [chosen],
    removed: chosen === undefined ? [key] : [],
    ...(config === undefined ? {} : { meshConfig: CONFIGS[config] ?? defaultMeshConfig() }),
  });
}

describe("compiling step by step", () => {
  it("gives what compiling the result from scratch gives", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 14 }), (steps) => {
        const meshConfig = defaultMeshConfig();
        const compiler = createCompiler({ meshConfig, clusterId: "test", messages: described });
        const world = new Map<string, Resource>();
        let config = meshConfig;
        for (const next of steps) {
          play(compiler, world, next);
          if (next.config !== undefined) config = CONFIGS[next.config] ?? config;
          const asking = NODES[next.node];
          if (asking === undefined) continue;
          if (next.named) compiler.resources(asking, typeUrls.route, new Set(["80"]));
          else compiler.resources(asking, typeUrls.listener);
        }
        // Another order of arrival must not matter either.
        const fresh = createCompiler({ meshConfig: config, clusterId: "test", messages: described });
        fresh.apply({ upserted: [...world.values()].reverse(), removed: [] });
        for (const node of NODES) expect(answer(compiler, node)).toEqual(answer(fresh, node));
      }),
      { numRuns: process.env.LATEEN_TEST_FULL ? 300 : 40 },
    );
  });

  it("by name gives the same resources as all at once", { timeout: 120_000 }, () => {
    const compiler = createCompiler({ meshConfig: defaultMeshConfig(), clusterId: "test", messages: described });
    compiler.apply({ upserted: VARIANTS.flatMap((variants) => variants.slice(0, 1)), removed: [] });
    for (const node of NODES) {
      for (const url of Object.values(typeUrls)) {
        const all = compiler.resources(node, url);
        const named = compiler.resources(node, url, new Set([...all.keys(), "no such name"]));
        expect([...named.values()].every((resource) => all.get(resource.name) === resource)).toBe(true);
        expect(named.size).toBe(all.size);
      }
    }
  });
});
