import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planRollout, type RolloutGoal, type RolloutPod, scaledCount } from "./rollout.ts";

const goal: RolloutGoal = {
  replicas: 2,
  templateHash: "new",
  strategy: "RollingUpdate",
  maxSurge: 1,
  maxUnavailable: 0,
};
const pod = (name: string, fields: Partial<RolloutPod> = {}): RolloutPod => ({
  name,
  templateHash: "new",
  ready: true,
  terminating: false,
  createdAt: 0,
  ...fields,
});
const old = (name: string, fields: Partial<RolloutPod> = {}) => pod(name, { templateHash: "old", ...fields });

describe("planRollout", () => {
  it.each<[string, RolloutGoal, RolloutPod[], { create: number; remove: string[] }]>([
    ["creates what is missing", goal, [], { create: 2, remove: [] }],
    ["rests at the goal", goal, [pod("a"), pod("b")], { create: 0, remove: [] }],
    ["counts pods that are not ready", goal, [pod("a"), pod("b", { ready: false })], { create: 0, remove: [] }],
    ["replaces a terminating pod", goal, [pod("a"), pod("b", { terminating: true })], { create: 1, remove: [] }],
    [
      "removes pods above the goal, those not ready first, then the youngest",
      goal,
      [pod("a", { createdAt: 1 }), pod("b", { createdAt: 2 }), pod("c", { ready: false }), pod("d", { createdAt: 3 })],
      { create: 0, remove: ["c", "d"] },
    ],
    ["surges by one in a rollout", goal, [old("a"), old("b")], { create: 1, remove: [] }],
    [
      "keeps old pods until new ones are ready",
      goal,
      [old("a"), old("b"), pod("c", { ready: false })],
      { create: 0, remove: [] },
    ],
    [
      "removes an old pod for each new ready one",
      goal,
      [old("a", { createdAt: 1 }), old("b", { createdAt: 2 }), pod("c")],
      { create: 0, remove: ["b"] },
    ],
    [
      "removes an old pod that serves nobody at once",
      goal,
      [old("a"), old("b", { ready: false })],
      { create: 1, remove: ["b"] },
    ],
    ["recreates only after the old ones", { ...goal, strategy: "Recreate" }, [old("a")], { create: 0, remove: ["a"] }],
    [
      "recreates: waits for the last one to end",
      { ...goal, strategy: "Recreate" },
      [old("a", { terminating: true })],
      { create: 0, remove: [] },
    ],
    ["scales to zero", { ...goal, replicas: 0 }, [pod("a")], { create: 0, remove: ["a"] }],
  ])("%s", (_, wanted, pods, expected) => {
    expect(planRollout(wanted, pods)).toEqual(expected);
  });

  it("always ends at the goal, never above the surge, never below what must be available", () => {
    const goals = fc
      .record({ replicas: fc.nat(6), maxSurge: fc.nat(3), maxUnavailable: fc.nat(3) })
      .filter(({ maxSurge, maxUnavailable }) => maxSurge + maxUnavailable > 0)
      .map((fields): RolloutGoal => ({ templateHash: "new", strategy: "RollingUpdate", ...fields }));
    fc.assert(
      fc.property(goals, fc.nat(6), (wanted, before) => {
        let pods: RolloutPod[] = Array.from({ length: before }, (_, index) => old(`old-${index}`));
        const least = Math.min(before, Math.max(0, wanted.replicas - wanted.maxUnavailable));
        let made = 0;
        for (let round = 0; round < 60; round++) {
          const { create, remove } = planRollout(wanted, pods);
          if (create === 0 && remove.length === 0 && pods.every((one) => one.ready)) break;
          pods = pods.filter(({ name }) => !remove.includes(name));
          pods.push(...Array.from({ length: create }, () => pod(`new-${made++}`, { ready: false })));
          expect(pods.length).toBeLessThanOrEqual(Math.max(before, wanted.replicas + wanted.maxSurge));
          expect(pods.filter(({ ready }) => ready).length).toBeGreaterThanOrEqual(Math.min(least, pods.length));
          const next = pods.find(({ ready }) => !ready);
          pods = pods.map((one) => (one === next ? { ...one, ready: true } : one));
        }
        expect(pods.map(({ templateHash }) => templateHash)).toEqual(Array(wanted.replicas).fill("new"));
      }),
    );
  });
});

it.each([
  [2, 10, "up", 2],
  ["25%", 10, "up", 3],
  ["25%", 10, "down", 2],
  [undefined, 10, "up", 7],
  ["many", 10, "up", 7],
] as const)("scaledCount(%j of %i, %s) is %i", (value, replicas, rounding, expected) => {
  expect(scaledCount(value, replicas, rounding, 7)).toBe(expected);
});
