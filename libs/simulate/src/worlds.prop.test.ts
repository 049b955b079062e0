import { readFileSync } from "node:fs";
import { createCompiler, typeUrls } from "@lateen/compiler";
import { decodeText, defaultMeshConfig, keyOf, type Resource } from "@lateen/mesh-model";
import { goldenCases } from "@lateen/test-support";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SimulatedMesh } from "./mesh.ts";
import { asRunning } from "./offline-world.ts";
import { objectsOf } from "./testing/world.ts";

const ROOT = new URL("../../compiler/goldens/", import.meta.url).pathname;
const read = (file: string) => readFileSync(file, "utf8");

/** Rules of all goldens that do not share a name, and the world they are for: some 50 objects. */
const rules = [
  ...new Map(
    goldenCases(ROOT, "input.yaml")
      .flatMap(({ path }) => objectsOf(read(path("input.yaml"))))
      .map((object) => [keyOf(object), object] as const),
  ).values(),
];
const objects = asRunning([...objectsOf(read(`${ROOT}shop.yaml`)), ...rules]);
const mesh = new SimulatedMesh({ objects, meshConfig: defaultMeshConfig(), clusterId: "test" });
const nodes = ["web-v1", "db-v1", "caller-v1", "istio-ingressgateway"].flatMap((name) => {
  const found = mesh.find(name);
  return found === undefined ? [] : [mesh.nodeOf(found)];
});

function compilerOf() {
  return createCompiler({ meshConfig: defaultMeshConfig(), clusterId: "test" });
}

/** Everything every node gets: name, version and bytes, ordered by name. */
function served(compiler: ReturnType<typeof compilerOf>): string {
  return nodes
    .flatMap((node) =>
      Object.values(typeUrls).flatMap((typeUrl) =>
        [...compiler.resources(node, typeUrl).values()]
          .map(
            ({ name, version, any }) =>
              `${node.id} ${typeUrl} ${name} ${version} ${Buffer.from(any.value).toString("base64")}`,
          )
          .sort(),
      ),
    )
    .join("\n");
}

/** The same as a map, for differences. */
function versions(compiler: ReturnType<typeof compilerOf>): ReadonlyMap<string, string> {
  return new Map(
    nodes.flatMap((node) =>
      Object.values(typeUrls).flatMap((typeUrl) =>
        [...compiler.resources(node, typeUrl).values()].map(
          ({ name, version }) => [`${node.id} ${typeUrl} ${name}`, version] as const,
        ),
      ),
    ),
  );
}

describe("a mesh of all the goldens", () => {
  const all = compilerOf();
  all.apply({ upserted: objects, removed: [] });
  const expected = served(all);

  it("is big enough to mean something", { timeout: 120_000 }, () => {
    expect(objects.length).toBeGreaterThanOrEqual(50);
    expect(nodes).toHaveLength(4);
  });

  it("comes out the same to the byte, in whatever order and portions its objects come", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...objects], { minLength: objects.length }),
        fc.integer({ min: 1, max: objects.length }),
        (shuffled, portion) => {
          const compiler = compilerOf();
          for (let at = 0; at < shuffled.length; at += portion) {
            compiler.apply({ upserted: shuffled.slice(at, at + portion), removed: [] });
            // Answers in between must not stick.
            if (nodes[0] !== undefined) compiler.resources(nodes[0], typeUrls.route);
          }
          expect(served(compiler) === expected).toBe(true);
        },
      ),
      { numRuns: 25 },
    );
  });

  it("changes by exactly the difference of the two states, and back", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.subarray([...rules], { minLength: 1, maxLength: 5 }), (gone) => {
        const keys = new Set(gone.map(keyOf));
        const stepwise = compilerOf();
        stepwise.apply({ upserted: objects, removed: [] });
        served(stepwise);
        stepwise.apply({ upserted: [], removed: [...keys] });
        const scratch = compilerOf();
        scratch.apply({ upserted: objects.filter((object) => !keys.has(keyOf(object))), removed: [] });
        expect(versions(stepwise)).toEqual(versions(scratch));
        stepwise.apply({ upserted: gone, removed: [] });
        expect(served(stepwise) === expected).toBe(true);
      }),
      { numRuns: 8 },
    );
  });
});

describe("a malformed object", () => {
  const text = read(`${ROOT}shop.yaml`);
  const broken = (kind: string, spec: string, apiVersion = "networking.istio.io/v1") => `---
apiVersion: ${apiVersion}
kind: ${kind}
metadata: { name: broken }
spec: ${spec}
`;
  const accepted = (source: string): readonly Resource[] =>
    decodeText({ file: "world.yaml", text: source }).flatMap((document) => (document.ok ? [document.object] : []));
  const compiled = (source: string) => {
    const compiler = compilerOf();
    compiler.apply({ upserted: asRunning(accepted(source)), removed: [] });
    return served(compiler);
  };

  it.each([
    ["VirtualService", "{ hosts: [reviews], http: [{ rout: [] }] }"],
    [
      "VirtualService",
      '{ hosts: [reviews], http: [{ match: [{ uri: { regex: "(" } }], route: [{ destination: { host: web } }] }] }',
    ],
    ["DestinationRule", "{ host: reviews, trafficPolicy: { loadBalancer: { simple: FASTEST } } }"],
    ["Gateway", "{ servers: 7 }"],
    ["Sidecar", "[]"],
    ["Nonsense", "{}"],
  ])("affects only itself: %s %s", (kind, spec) => {
    expect(compiled(text + broken(kind, spec)) === compiled(text)).toBe(true);
  });

  const SECURITY = "security.istio.io/v1";
  const API = "gateway.networking.k8s.io/v1";
  /** Beside others of its kind, so that something could be lost. */
  const beside = `${text}---\n${[
    "authorization",
    "request-authentication",
    "telemetry",
    "gateway-api-edge",
    "backend-tls",
  ]
    .map((name) => read(`${ROOT}${name}/input.yaml`))
    .join("---\n")}`;
  const whole = compiled(beside);
  it.each([
    ["PeerAuthentication", SECURITY, "{ mtls: { mode: LOOSE } }"],
    ["PeerAuthentication", SECURITY, "{ portLevelMtls: { http: { mode: STRICT } } }"],
    ["AuthorizationPolicy", SECURITY, "{ action: DENY }"],
    ["AuthorizationPolicy", SECURITY, "{ rules: [{ from: [{ source: { ipBlocks: [here] } }] }] }"],
    ["AuthorizationPolicy", SECURITY, "{ action: PERHAPS, rules: [{}] }"],
    ["RequestAuthentication", SECURITY, "{ jwtRules: [{ jwksUri: https://a.example.com }] }"],
    ["RequestAuthentication", SECURITY, '{ jwtRules: [{ issuer: a, jwks: "{" }] }'],
    ["Telemetry", "telemetry.istio.io/v1", "{ accessLogging: 7 }"],
    ["Telemetry", "telemetry.istio.io/v1", '{ accessLogging: [{ filter: { expression: "(" } }] }'],
    ["Telemetry", "telemetry.istio.io/v1", "{ tracing: [{ randomSamplingPercentage: 700 }] }"],
    ["Gateway", API, "{ gatewayClassName: istio, listeners: 7 }"],
    ["HTTPRoute", API, '{ rules: [{ matches: [{ path: { type: RegularExpression, value: "(" } }] }] }'],
    ["HTTPRoute", API, "{ parentRefs: [{ name: nowhere }], rules: [{ backendRefs: [{ name: web, port: 9080 }] }] }"],
    ["GRPCRoute", API, "{ parentRefs: [{ name: nowhere }], rules: [{ backendRefs: [{ name: gone, port: 1 }] }] }"],
    ["TLSRoute", "gateway.networking.k8s.io/v1alpha2", "{ hostnames: [7], rules: [] }"],
    ["TCPRoute", "gateway.networking.k8s.io/v1alpha2", "{ rules: 7 }"],
    ["ReferenceGrant", "gateway.networking.k8s.io/v1beta1", "{ from: all, to: all }"],
    ["BackendTLSPolicy", API, "{ targetRefs: [], validation: { hostname: a.example.com } }"],
    [
      "BackendTLSPolicy",
      API,
      '{ targetRefs: [{ group: "", kind: Service, name: gone }], validation: { hostname: a.com, wellKnownCACertificates: System } }',
    ],
  ])("affects only itself among others: %s %s %s", { timeout: 60_000 }, (kind, apiVersion, spec) => {
    expect(compiled(beside + broken(kind, spec, apiVersion)) === whole).toBe(true);
  });

  it("is a standard of something: the others are all there", () => {
    const kinds = new Set(accepted(beside).map(({ kind }) => kind));
    for (const kind of [
      "AuthorizationPolicy",
      "RequestAuthentication",
      "Telemetry",
      "KubernetesGateway",
      "HTTPRoute",
    ]) {
      expect(kinds).toContain(kind);
    }
    expect(whole).toContain("listener");
    expect(whole === compiled(text)).toBe(false);
  });
});
