import { NO_HEADER_EDITS, type RouteTableSpec } from "@lateen/traffic";
import { describe, expect, it } from "vitest";
import type { ClusterSpec, ListenerSpec, LocalityEndpointsSpec } from "./plan.ts";
import { PlanState } from "./plan-state.ts";

const cluster = (name: string, edsName?: string) => ({
  spec: { name, transportMatches: [], transport: { kind: "raw" } } as unknown as ClusterSpec,
  edsName,
});
const endpoints: readonly LocalityEndpointsSpec[] = [];
const listener = (name: string, options: { rds?: string; secret?: string; cluster?: string } = {}): ListenerSpec =>
  ({
    name,
    chains: [
      {
        transport:
          options.secret === undefined
            ? { kind: "raw" }
            : { kind: "tls", certificateSecret: options.secret, validation: undefined },
        terminal:
          options.rds === undefined
            ? { kind: "tcp", clusters: [{ cluster: options.cluster ?? "c", weight: 1 }] }
            : { kind: "http", routes: { rds: options.rds } },
      },
    ],
    defaultChain: undefined,
  }) as unknown as ListenerSpec;
const table = (name: string, target: string): RouteTableSpec =>
  ({
    name,
    virtualHosts: [
      { routes: [{ action: { kind: "forward", clusters: [{ cluster: target, weight: 1 }], mirrors: [] } }] },
    ],
    requestHeaders: NO_HEADER_EDITS,
  }) as unknown as RouteTableSpec;
const names = (items: readonly { name: string }[] | undefined) => items?.map(({ name }) => name) ?? [];

describe("warming", () => {
  it("holds a cluster back until its endpoints are known", () => {
    const state = new PlanState();
    state.setCluster("a", cluster("a", "eds-a"));
    state.setCluster("b", cluster("b"));
    expect(names(state.advance()?.clusters)).toEqual(["b"]);
    expect(state.warming()).toEqual(["cluster a"]);
    expect([...state.endpointNames()]).toEqual(["eds-a"]);
    state.setEndpoints("eds-a", endpoints);
    expect(state.advance()).toMatchObject({ clusters: [{ name: "a" }], endpoints: [{ cluster: "a" }] });
    expect(state.warming()).toEqual([]);
  });

  it("keeps the former listener until routes and secrets of the new one are there", () => {
    const state = new PlanState();
    state.setListener("l", listener("l"));
    state.advance();
    const next = listener("l", { rds: "r", secret: "s" });
    state.setListener("l", next);
    expect(state.advance()).toBeUndefined();
    state.setRoutes("r", table("r", "c"));
    expect(names(state.advance()?.listeners)).toEqual([]);
    state.setSecret({ kind: "trust", name: "s", bundlePem: "x" });
    expect(state.advance()?.listeners).toEqual([next]);
  });

  it("ends when patience does", () => {
    const state = new PlanState();
    state.setCluster("a", cluster("a", "a"));
    state.setListener("l", listener("l", { rds: "r" }));
    state.giveUpWarming(state.warming());
    expect(state.advance()).toMatchObject({
      clusters: [{ name: "a" }],
      endpoints: [{ localities: [] }],
      listeners: [{ name: "l" }],
    });
  });
});

describe("removal", () => {
  it("keeps a cluster while a listener or a route names it", () => {
    const state = new PlanState();
    for (const name of ["tcp", "http", "free"]) state.setCluster(name, cluster(name));
    state.setListener("l", listener("l", { cluster: "tcp" }));
    state.setRoutes("r", table("r", "http"));
    state.advance();
    for (const name of ["tcp", "http", "free"]) state.setCluster(name, undefined);
    expect(state.advance()?.removedClusters).toEqual(["free"]);
    state.setListener("l", undefined);
    expect(state.advance()).toMatchObject({ removedListeners: ["l"], removedClusters: ["tcp"] });
    state.setRoutes("r", table("r", "other"));
    expect(state.advance()?.removedClusters).toEqual(["http"]);
  });

  it("keeps a route table while a listener uses it", () => {
    const state = new PlanState();
    state.setRoutes("r", table("r", "c"));
    state.setListener("l", listener("l", { rds: "r" }));
    state.advance();
    state.setRoutes("r", undefined);
    expect(state.advance()).toBeUndefined();
    state.setListener("l", undefined);
    expect(state.advance()).toMatchObject({ removedListeners: ["l"], removedRoutes: ["r"] });
  });
});

describe("steps", () => {
  it("say nothing when nothing changed", () => {
    const state = new PlanState();
    state.setCluster("a", cluster("a"));
    expect(state.advance()?.generation).toBe(1);
    expect(state.advance()).toBeUndefined();
    expect(state.generation).toBe(1);
  });

  it("go back for what a worker refused, so that the next one does not repeat it", () => {
    const state = new PlanState();
    const first = listener("l");
    state.setListener("l", first);
    state.advance();
    state.setListener("l", listener("l", { cluster: "d" }));
    state.advance();
    state.reject("listener", "l");
    expect(state.full().listeners).toEqual([first]);
    expect(state.advance()).toBeUndefined();
  });

  it("add up to the full plan", () => {
    const state = new PlanState();
    state.setCluster("a", cluster("a", "a"));
    state.setEndpoints("a", endpoints);
    state.setListener("l", listener("l"));
    state.setNames({ reviews: ["10.0.0.1"] });
    state.advance();
    expect(state.full()).toMatchObject({
      clusters: [{ name: "a" }],
      endpoints: [{ cluster: "a" }],
      listeners: [{ name: "l" }],
      names: { reviews: ["10.0.0.1"] },
    });
  });
});
