import { expect, it } from "vitest";
import { stateDir } from "../state-dir.ts";
import { addressesOf, componentFlags, componentPlan } from "./component-plan.ts";
import { spread } from "./control-plane.ts";

const state = stateDir("/state");
const context = { state, host: "127.0.0.1", trustDomain: "td", clusterId: "local", configPaths: ["/b.yaml", "/mesh"] };

async function plan(replicas: number) {
  let next = 40_000;
  return componentPlan({ state, replicas, portOf: async (wanted) => wanted || next++ });
}

it("gives the first replica the usual ports, and every replica a place of its own", async () => {
  const all = await plan(2);
  expect(all.map(({ name }) => name)).toEqual([
    "citadel-1",
    "citadel-2",
    "galley-1",
    "galley-2",
    "pilot-1",
    "pilot-2",
    "mixer-1",
    "mixer-2",
  ]);
  expect(all.find(({ name }) => name === "pilot-1")?.ports).toEqual({ xds: 15_012, http: 15_080, metrics: 15_014 });
  const ports = all.flatMap((one) => Object.values(one.ports));
  expect(new Set(ports).size).toBe(ports.length);
  expect(new Set(all.map(({ folder }) => folder)).size).toBe(all.length);
});

it("tells each component where all replicas of those it needs are", async () => {
  const all = await plan(2);
  const flagsOf = (name: string) => {
    const component = all.find((one) => one.name === name);
    return component === undefined ? "" : componentFlags(component, all, context).join(" ");
  };
  const citadels = addressesOf(all, "citadel", "ca", "127.0.0.1");
  expect(citadels).toMatch(/^127\.0\.0\.1:8060,127\.0\.0\.1:\d+$/);
  expect(flagsOf("pilot-2")).toContain(`--ca-address ${citadels}`);
  expect(flagsOf("pilot-2")).toContain(`--galley-address ${addressesOf(all, "galley", "config", "127.0.0.1")}`);
  expect(flagsOf("galley-1")).toContain("--config /b.yaml --config /mesh");
  expect(flagsOf("citadel-1")).toContain("--ca-dir /state/ca");
  expect(flagsOf("citadel-1")).not.toContain("--run-dir");
});

it("tells those that share configuration where NATS is, with credentials by file", async () => {
  const all = await plan(1);
  const nats = { url: "nats://127.0.0.1:4222", credentials: "/state/nats/credentials" };
  const flagsOf = (name: string, access: typeof nats | undefined) => {
    const component = all.find((one) => one.name === name);
    return component === undefined ? "" : componentFlags(component, all, { ...context, nats: access }).join(" ");
  };
  const expected =
    "--nats-url nats://127.0.0.1:4222 --nats-credentials /state/nats/credentials --nats-credentials-kind user";
  for (const name of ["galley-1", "pilot-1", "mixer-1"]) {
    expect(flagsOf(name, nats)).toContain(expected);
    expect(flagsOf(name, undefined)).not.toContain("--nats");
  }
  expect(flagsOf("citadel-1", nats)).not.toContain("--nats");
});

it("spreads clients over the replicas, each with all of them", () => {
  expect(["10.0.0.3", "10.0.0.4", "10.0.0.5"].map((client) => spread("h:1,h:2,h:3", client))).toEqual([
    "h:1,h:2,h:3",
    "h:2,h:3,h:1",
    "h:3,h:1,h:2",
  ]);
  expect(spread("h:1", "10.0.0.4")).toBe("h:1");
});
