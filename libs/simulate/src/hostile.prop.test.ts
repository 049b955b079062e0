import { readFileSync } from "node:fs";
import { type Compiler, createCompiler, type ResourceMap, typeUrls, type XdsNode } from "@lateen/compiler";
import { decodeObject, defaultMeshConfig, keyOf, type Resource } from "@lateen/mesh-model";
import { goldenCases, type Mutation, mutationsOf } from "@lateen/test-support";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { SimulatedMesh } from "./mesh.ts";
import { asRunning } from "./offline-world.ts";
import { SimulatedProxy } from "./proxy-resources.ts";
import { objectsOf } from "./testing/world.ts";

const GOLDENS = new URL("../../compiler/goldens/", import.meta.url).pathname;
const read = (file: string) => readFileSync(file, "utf8");
const FULL = process.env.LATEEN_TEST_FULL !== undefined;
/** Objects that are tried, and mutations of each. */
const OBJECTS = FULL ? 200 : 12;
const EACH = FULL ? 200 : 40;
/** A service beside the goldens' that none of them says anything of. */
const BYSTANDER = `---
apiVersion: v1
kind: Namespace
metadata: { name: bystanders }
---
apiVersion: v1
kind: Service
metadata: { name: bystander, namespace: bystanders }
spec: { clusterIP: 10.99.9.9, selector: { app: bystander }, ports: [{ name: http-odd, port: 7654 }, { name: tcp, port: 7655 }] }
`;
const origin = { file: "hostile", line: 1, column: 1 };

interface Case {
  readonly golden: string;
  readonly objects: readonly Resource[];
  readonly document: Readonly<Record<string, unknown>>;
}

/** Each object of each golden, with the others of its golden. */
const cases: readonly Case[] = goldenCases(GOLDENS, "calls.yaml").flatMap(({ name, path }) => {
  const input = read(path("input.yaml"));
  const objects = asRunning(objectsOf(`${read(`${GOLDENS}shop.yaml`)}\n${BYSTANDER}---\n${input}`));
  return parseAllDocuments(input).flatMap((parsed) => {
    const document = parsed.toJS() as Readonly<Record<string, unknown>> | null;
    // Patches may ask for anything; what a Deployment makes are pods.
    return document === null || ["EnvoyFilter", "Deployment"].includes(String(document.kind))
      ? []
      : [{ golden: name, objects, document }];
  });
});

/** What a node gets of the bystander, and all names it gets, by type. */
function bystander(compiler: Compiler, nodes: readonly XdsNode[]): string {
  return nodes
    .flatMap((node) =>
      [typeUrls.cluster, typeUrls.endpoint].flatMap((url) =>
        [...compiler.resources(node, url).values()]
          .filter(({ name }) => name.includes("bystander"))
          .map(({ name, version }) => `${node.id} ${name} ${version}`),
      ),
    )
    .join("\n");
}

/** What one of our proxies refuses of what it gets anew. Everything is compiled, whether or not somebody looks at it. */
function refusedByOurs(compiler: Compiler, node: XdsNode, before: ReadonlyMap<string, ResourceMap>): readonly string[] {
  const fresh = (type: keyof typeof typeUrls): ResourceMap => {
    const known = before.get(typeUrls[type]);
    const now = compiler.resources(node, typeUrls[type]);
    return new Map([...now].filter(([name, resource]) => known?.get(name) !== resource));
  };
  const maps = { listeners: fresh("listener"), routes: fresh("route"), clusters: fresh("cluster") };
  const proxy = new SimulatedProxy("default", { ...maps, endpoints: fresh("endpoint"), names: fresh("nds") });
  fresh("secret");
  fresh("extension");
  const decoded = [
    ...[...maps.routes.keys()].map((name) => proxy.routes(name)),
    ...[...maps.clusters.keys()].map((name) => proxy.cluster(name)),
    ...[...maps.clusters.keys()].map((name) => proxy.endpoints(name)),
  ];
  return [...proxy.refusedListeners(), ...decoded.flatMap((one) => (one?.ok === false ? [one.reason] : []))];
}

/** Numbers in [0,1): what a test library draws keeps to the ends. */
function* shares(seed: number): Generator<number> {
  for (let state = seed >>> 0; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

const MAY_BE_MESHWIDE = new Set(["Sidecar", "PeerAuthentication", "ServiceEntry", "Telemetry", "WasmPlugin"]);

/** Whether an object may say something of every service. */
function isForAll(object: Resource): boolean {
  return MAY_BE_MESHWIDE.has(object.kind) || (object.kind === "DestinationRule" && object.spec.host.startsWith("*"));
}

describe("an object with a hostile value in one place", () => {
  beforeAll(() => {
    expect(cases.length).toBeGreaterThan(100);
  });

  it("is refused, or compiles for every proxy without harm to others", { timeout: 600_000 }, () => {
    let legal = 0;
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const chance = shares(seed);
        const one = cases[Math.floor((chance.next().value ?? 0) * cases.length)] as Case;
        const mutations = [...mutationsOf(one.document)];
        const chosen: Mutation[] = Array.from({ length: EACH }).flatMap(
          () => mutations[Math.floor((chance.next().value ?? 0) * mutations.length)] ?? [],
        );
        const mesh = new SimulatedMesh({ objects: one.objects, meshConfig: defaultMeshConfig(), clusterId: "test" });
        const nodes = mesh.participants
          .filter(({ proxy }) => proxy !== "none")
          .map((participant) => mesh.nodeOf(participant));
        const compiler = createCompiler({ meshConfig: defaultMeshConfig(), clusterId: "test" });
        compiler.apply({ upserted: one.objects, removed: [] });
        const others = bystander(compiler, nodes);
        const before = nodes.map(
          (node) => new Map(Object.values(typeUrls).map((url) => [url, compiler.resources(node, url)])),
        );
        for (const { document, place, value } of chosen) {
          const decoded = decodeObject(document, origin);
          if (!decoded.ok) continue;
          legal++;
          const told = `${one.golden}: ${place} = ${JSON.stringify(value)?.slice(0, 200)}`;
          compiler.apply({ upserted: [decoded.object], removed: [] });
          const refused = nodes.flatMap((node, index) => refusedByOurs(compiler, node, before[index] ?? new Map()));
          expect({ told, refused }).toEqual({ told, refused: [] });
          compiler.warnings();
          // What reaches only what it names does not reach the others.
          if (!isForAll(decoded.object)) expect(bystander(compiler, nodes), told).toBe(others);
          compiler.apply({ upserted: [], removed: [keyOf(decoded.object)] });
        }
      }),
      FULL ? { numRuns: OBJECTS } : { numRuns: OBJECTS, seed: 7 },
    );
    expect(legal).toBeGreaterThan(OBJECTS);
  });
});
