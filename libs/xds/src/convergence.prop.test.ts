import { manualClock } from "@lateen/test-support";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { xdsTypes } from "./resource-types.ts";
import { Simulation, type World, WorldSource } from "./testing/simulation.ts";
import { SotwPeer } from "./testing/sotw-peer.ts";
import { SotwProxy } from "./testing/sotw-proxy.ts";

// On a machine that builds at the same time.
vi.setConfig({ testTimeout: 60_000 });

const CLUSTERS = ["c0", "c1", "c2", "c3"] as const;
const ROUTES = ["r0", "r1", "r2"] as const;
const LISTENERS = ["l0", "l1"] as const;

/** Worlds in which everything that is referred to exists. `versions` may contain `bad`, which the client refuses. */
const worlds = (versions: readonly string[]): fc.Arbitrary<World> => {
  const version = fc.constantFrom(...versions);
  return fc
    .record({
      clusters: fc.uniqueArray(fc.constantFrom(...CLUSTERS), { minLength: 1 }),
      routes: fc.uniqueArray(fc.constantFrom(...ROUTES), { minLength: 1 }),
      listeners: fc.uniqueArray(fc.constantFrom(...LISTENERS)),
      versions: fc.array(version, { minLength: 16, maxLength: 16 }),
      picks: fc.array(fc.nat(11), { minLength: 16, maxLength: 16 }),
    })
    .map(({ clusters, routes, listeners, versions: texts, picks }) => {
      let at = 0;
      const text = () => texts[at++ % texts.length]!;
      const pick = <T>(list: readonly T[]) => list[picks[at++ % picks.length]! % list.length]!;
      const record = <V>(names: readonly string[], value: (name: string) => V) =>
        Object.fromEntries(names.map((name) => [name, value(name)]));
      return {
        clusters: record(clusters, text),
        endpoints: record(clusters, text),
        routes: record(routes, () => ({ version: text(), clusters: [...new Set([pick(clusters), pick(clusters)])] })),
        listeners: record(listeners, () => ({ version: text(), route: pick(routes) })),
      };
    });
};

/** A small change; `picks` choose among what is there, so that everything referred to goes on to exist. */
interface Edit {
  readonly part: "cluster" | "noCluster" | "endpoint" | "route" | "noRoute" | "listener" | "noListener";
  readonly version: string;
  readonly picks: readonly [number, number];
}

const edits = (versions: readonly string[]): fc.Arbitrary<Edit> =>
  fc.record({
    part: fc.constantFrom("cluster", "noCluster", "endpoint", "route", "noRoute", "listener", "noListener"),
    version: fc.constantFrom(...versions),
    picks: fc.tuple(fc.nat(11), fc.nat(11)),
  });

function without<V>(record: Readonly<Record<string, V>>, name: string): Readonly<Record<string, V>> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => key !== name));
}

/** The world after a change. */
function edit(world: World, { part, version, picks: [one, other] }: Edit): World {
  const pick = (names: readonly string[], at: number) => names[at % names.length]!;
  const clusters = Object.keys(world.clusters);
  const routes = Object.keys(world.routes);
  switch (part) {
    case "cluster": {
      const name = pick(CLUSTERS, one);
      const endpoints = { [name]: version, ...world.endpoints };
      return { ...world, clusters: { ...world.clusters, [name]: version }, endpoints };
    }
    case "endpoint":
      return { ...world, endpoints: { ...world.endpoints, [pick(clusters, one)]: version } };
    case "route": {
      const route = { version, clusters: [...new Set([pick(clusters, one), pick(clusters, other)])] };
      return { ...world, routes: { ...world.routes, [pick(ROUTES, one + other)]: route } };
    }
    case "listener":
      return {
        ...world,
        listeners: { ...world.listeners, [pick(LISTENERS, one)]: { version, route: pick(routes, other) } },
      };
    case "noListener":
      return { ...world, listeners: without(world.listeners, pick(LISTENERS, one)) };
    case "noRoute": {
      const name = pick(routes, one);
      const used = Object.values(world.listeners).some(({ route }) => route === name);
      return used || routes.length === 1 ? world : { ...world, routes: without(world.routes, name) };
    }
    case "noCluster": {
      const name = pick(clusters, one);
      const left = clusters.filter((cluster) => cluster !== name);
      if (left.length === 0) return world;
      const moved = Object.entries(world.routes).map(([key, route]) => {
        const used = route.clusters.map((cluster) => (cluster === name ? pick(left, other) : cluster));
        return [key, { ...route, clusters: [...new Set(used)] }] as const;
      });
      const routesNow = Object.fromEntries(moved);
      return {
        ...world,
        clusters: without(world.clusters, name),
        endpoints: without(world.endpoints, name),
        routes: routesNow,
      };
    }
  }
}

/** What the client should hold: all clusters, their endpoints, all listeners, the routes these use. */
function expected(world: World): Readonly<Record<string, unknown>> {
  const used = new Set(Object.values(world.listeners).map(({ route }) => route));
  const texts = (entries: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(entries).map(([name, value]) => [name, JSON.stringify(value)]));
  return {
    [xdsTypes.cluster]: world.clusters,
    [xdsTypes.endpoint]: world.endpoints,
    [xdsTypes.listener]: texts(world.listeners),
    [xdsTypes.route]: texts(Object.fromEntries(Object.entries(world.routes).filter(([name]) => used.has(name)))),
  };
}
type Step =
  | { readonly kind: "world"; readonly edits: readonly Edit[]; readonly push: boolean }
  | { readonly kind: "push" | "connect" | "disconnect" | "full" | "drained" | "introduced" }
  | { readonly kind: "toServer" | "toClient"; readonly messages: number };

const steps = (versions: readonly string[]): fc.Arbitrary<readonly Step[]> => {
  const plain = (kind: Exclude<Step["kind"], "world" | "toServer" | "toClient">, weight: number) => ({
    weight,
    arbitrary: fc.constant<Step>({ kind }),
  });
  const carry = (kind: "toServer" | "toClient"): fc.Arbitrary<Step> =>
    fc.record({ kind: fc.constant(kind), messages: fc.integer({ min: 1, max: 3 }) });
  const world = fc.record({
    kind: fc.constant("world" as const),
    edits: fc.array(edits(versions), { minLength: 1, maxLength: 3 }),
    push: fc.boolean(),
  });
  return fc.array(
    fc.oneof(
      { weight: 6, arbitrary: world as fc.Arbitrary<Step> },
      plain("push", 2),
      plain("connect", 2),
      plain("disconnect", 1),
      plain("full", 1),
      plain("drained", 1),
      plain("introduced", 1),
      { weight: 8, arbitrary: carry("toServer") },
      { weight: 8, arbitrary: carry("toClient") },
    ),
    { minLength: 10, maxLength: 60, size: "max" },
  );
};

async function run(first: World, script: readonly Step[], last: World, check: (simulation: Simulation) => void) {
  const source = new WorldSource();
  let world = first;
  source.set(first);
  const simulation = new Simulation(source, manualClock());
  simulation.connect();
  await simulation.quiesce();
  for (const step of script) {
    switch (step.kind) {
      case "world":
        world = step.edits.reduce(edit, world);
        source.set(world);
        if (step.push) simulation.push();
        break;
      case "push":
        simulation.push();
        break;
      case "connect":
        simulation.connect();
        break;
      case "disconnect":
        simulation.disconnect();
        break;
      case "full":
        simulation.setFull(true);
        break;
      case "drained":
        simulation.setFull(false);
        break;
      case "introduced":
        simulation.introduced();
        break;
      default:
        for (let sent = 0; sent < step.messages && (await simulation.step(step.kind)); sent++) check(simulation);
    }
    check(simulation);
  }
  source.set(last);
  simulation.connect();
  simulation.setFull(false);
  simulation.push();
  await simulation.quiesce();
  simulation.introduced();
  await simulation.quiesce();
  return simulation;
}

const held = (simulation: Simulation) => {
  const types = [xdsTypes.cluster, xdsTypes.endpoint, xdsTypes.listener, xdsTypes.route];
  return Object.fromEntries(types.map((type) => [type, Object.fromEntries(simulation.held.get(type) ?? [])]));
};

const good = ["1", "2", "3"];

describe("a delta client and its server", () => {
  it("agree in the end, whatever was refused, cut or delayed", async () => {
    await fc.assert(
      fc.asyncProperty(worlds([...good, "bad"]), steps([...good, "bad"]), worlds(good), async (first, script, last) => {
        const simulation = await run(first, script, last, () => undefined);
        expect(simulation.ended).toBeUndefined();
        expect(held(simulation)).toEqual(expected(last));
        expect(simulation.clean).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("never leave a live route without its clusters", async () => {
    await fc.assert(
      fc.asyncProperty(worlds(good), steps(good), worlds(good), async (first, script, last) => {
        await run(first, script, last, (simulation) => expect(simulation.missingClusters()).toEqual([]));
      }),
      { numRuns: 300 },
    );
  });
});

const all = [...good, "bad"];

describe("a state-of-the-world client and its server", () => {
  it("agree in the end, whatever was refused or delayed", () => {
    const changes = fc.record({
      edits: fc.array(edits(all), { maxLength: 3 }),
      push: fc.boolean(),
      messages: fc.integer({ min: 0, max: 4 }),
    });
    fc.assert(
      fc.property(
        worlds(all),
        fc.array(changes, { maxLength: 30, size: "max" }),
        worlds(good),
        (first, script, last) => {
          const source = new WorldSource();
          source.set(first);
          const peer = new SotwPeer(source, manualClock());
          const proxy = new SotwProxy(peer);
          let world = first;
          for (const change of script) {
            world = change.edits.reduce(edit, world);
            source.set(world);
            if (change.push) peer.stream.push();
            for (let taken = 0; taken < change.messages && proxy.step(); taken++) {
              // One response at a time.
            }
          }
          source.set(last);
          peer.stream.push();
          while (proxy.step()) {
            // Until the server has no more.
          }
          expect(peer.closed).toBeUndefined();
          expect(Object.fromEntries([...proxy.held].map(([type, map]) => [type, Object.fromEntries(map)]))).toEqual(
            expected(last),
          );
          expect(peer.stream.status().clean).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});
