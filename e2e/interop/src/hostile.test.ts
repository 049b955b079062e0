import { readFileSync } from "node:fs";
import { createCompiler, typeUrls } from "@lateen/compiler";
import { decodeObject, decodeText, meshConfigFromConfigMap, type Resource } from "@lateen/mesh-model";
import { asRunning, SimulatedMesh } from "@lateen/simulate";
import { goldenCases, type Mutation, mutationsOf } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { refusals, type Served } from "./harness/judge.ts";
import { noEnvoy } from "./harness/mesh.ts";
import { GOLDENS } from "./harness/shop.ts";

const skip = noEnvoy();
const FULL = process.env.LATEEN_TEST_FULL !== undefined;
/** Of each object so many mutations are tried, of so many objects. */
const EACH = FULL ? Number.POSITIVE_INFINITY : 30;
const OBJECTS = FULL ? Number.POSITIVE_INFINITY : 12;
const TYPES = {
  cluster: typeUrls.cluster,
  endpoint: typeUrls.endpoint,
  listener: typeUrls.listener,
  route: typeUrls.route,
} as const;
/** Where the goldens' spans go: a listener that tells of a cluster that is not there is refused for that. */
const COLLECTORS = ["outbound|5432||db.default.svc.cluster.local"];
const origin = { file: "hostile", line: 1, column: 1 };

interface Told extends Served {
  readonly told: string;
}

/** What Envoys get that they did not get before. */
class Fresh {
  readonly all: Told[] = [];
  readonly #seen = new Set<string>();

  /** @returns whether there was any. */
  add(
    nodes: Parameters<ReturnType<typeof createCompiler>["resources"]>[0][],
    compiler: ReturnType<typeof createCompiler>,
    told: string,
  ): boolean {
    const before = this.all.length;
    for (const node of nodes) {
      for (const [type, url] of Object.entries(TYPES)) {
        for (const [name, { version, any }] of compiler.resources(node, url)) {
          const id = `${type} ${name} ${version}`;
          if (this.#seen.has(id)) continue;
          this.#seen.add(id);
          this.all.push({ type: type as Served["type"], bytes: any.value, told: `${told}: ${type} ${name}` });
        }
      }
    }
    return this.all.length > before;
  }
}

/** The same numbers each time, other ones for each object. */
function* picks(mutations: readonly Mutation[], seed: number): Generator<Mutation> {
  if (EACH >= mutations.length) return yield* mutations;
  let state = seed;
  for (let made = 0; made < EACH; made++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const found = mutations[state % mutations.length];
    if (found !== undefined) yield found;
  }
}

/** Every resource that comes of hostile values in objects of the goldens, and of the goldens themselves. */
function hostileResources(): readonly Told[] {
  const fresh = new Fresh();
  const done = new Set<string>();
  const invented = new Set<string>();
  const cases = goldenCases(GOLDENS, "calls.yaml");
  const step = Math.max(1, Math.floor(cases.length / OBJECTS));
  for (const [index, { name, path }] of cases.entries()) {
    if (index % step !== 0) continue;
    const { mesh = {}, networks = {} } = parse(readFileSync(path("calls.yaml"), "utf8")) as Record<string, object>;
    const input = readFileSync(path("input.yaml"), "utf8");
    const text = `${readFileSync(`${GOLDENS}shop.yaml`, "utf8")}\n---\n${input}`;
    const objects = asRunning(decodeText({ file: name, text }).flatMap((one) => (one.ok ? [one.object] : [])));
    const data = { mesh: JSON.stringify(mesh), meshNetworks: JSON.stringify({ networks }) };
    const map = { apiVersion: "v1", kind: "ConfigMap", metadata: { namespace: "istio-system", name: "istio" }, data };
    const config = meshConfigFromConfigMap(map as Resource<"ConfigMap">);
    if (!config.ok) throw new Error(name);
    const simulated = new SimulatedMesh({ objects, meshConfig: config.value, clusterId: "golden" });
    const nodes = simulated.participants
      .filter(({ proxy }) => proxy !== "none")
      .map((one) => simulated.nodeOf(one, {}));
    const compiler = createCompiler({ meshConfig: config.value, clusterId: "golden" });
    compiler.apply({ upserted: objects, removed: [] });
    fresh.add(nodes, compiler, name);
    for (const parsed of parseAllDocuments(input)) {
      const document = parsed.toJS() as Readonly<Record<string, unknown>> | null;
      // Patches may ask for anything; what a Deployment makes are pods.
      if (document === null || ["EnvoyFilter", "Deployment"].includes(String(document.kind))) continue;
      for (const mutation of picks([...mutationsOf(document)], index)) {
        const told = `${mutation.place} = ${JSON.stringify(mutation.value)?.slice(0, 100)}`;
        // Parts that no golden has are tried once, whether or not they matter there.
        if (done.has(told) || (mutation.invented > 1 && invented.has(told))) continue;
        if (mutation.invented > 1) invented.add(told);
        const decoded = decodeObject(mutation.document, origin);
        if (!decoded.ok) continue;
        compiler.apply({ upserted: [decoded.object], removed: [] });
        if (fresh.add(nodes, compiler, `${name}: ${told}`)) done.add(told);
      }
      const restored = decodeObject(document, origin);
      if (restored.ok) compiler.apply({ upserted: [restored.object], removed: [] });
    }
  }
  return fresh.all;
}

describe.skipIf(skip !== undefined)(
  `Envoy and hostile values${skip === undefined ? "" : ` (skipped: ${skip})`}`,
  () => {
    it("takes whatever comes of an object that was not refused", { timeout: FULL ? 3_600_000 : 600_000 }, async () => {
      const resources = hostileResources();
      expect(resources.length).toBeGreaterThan(300);
      const refused = await refusals(resources, COLLECTORS);
      expect([...refused].map(([index, reason]) => `${resources[index]?.told}: ${reason.slice(0, 300)}`)).toEqual([]);
    });

    it("refuses what it cannot take: the test would notice", { timeout: 120_000 }, async () => {
      const { Cluster } = await import("@lateen/proto/envoy/config/cluster/v3/cluster");
      const cluster = (connectMs: bigint) =>
        Cluster.encode(Cluster.fromPartial({ name: "a", connectTimeout: { seconds: connectMs, nanos: 0 } })).finish();
      const found = await refusals([
        { type: "cluster", bytes: cluster(1n) },
        { type: "cluster", bytes: cluster(9_300_000_000n) },
        { type: "cluster", bytes: cluster(2n) },
      ]);
      expect([...found.keys()]).toEqual([1]);
    });
  },
);
