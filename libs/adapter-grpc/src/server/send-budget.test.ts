import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { SendBudget } from "./send-budget.ts";

function start() {
  const clock = manualClock();
  const budget = new SendBudget(clock, { bytes: 100, patienceMs: 1000 });
  const resumed: string[] = [];
  const open = (name: string) => budget.open(() => resumed.push(name));
  return { clock, budget, resumed, open };
}

describe("SendBudget", () => {
  it("lets streams send until so much is on its way, and resumes those that wait in order", () => {
    const { budget, resumed, open } = start();
    const [a, b, c] = [open("a"), open("b"), open("c")];
    expect(a.ready()).toBe(true);
    a.sent("1", 60);
    a.sent("2", 60);
    expect([c.ready(), b.ready(), c.ready()]).toEqual([false, false, false]);
    a.answered("unknown");
    expect(resumed).toEqual([]);
    a.answered("1");
    expect(resumed).toEqual(["c", "b"]);
    expect(budget.counted).toBe(60);
  });

  it("forgets what was on its way to a stream that is over", () => {
    const { budget, resumed, open } = start();
    const [a, b] = [open("a"), open("b")];
    a.sent("1", 200);
    expect(b.ready()).toBe(false);
    a.close();
    expect([budget.counted, resumed]).toEqual([0, ["b"]]);
  });

  it("does not let clients that never answer hold up the others", () => {
    const { clock, budget, resumed, open } = start();
    const [stuck, b] = [open("stuck"), open("b")];
    stuck.sent("1", 200);
    expect(b.ready()).toBe(false);
    clock.advance(999);
    expect(resumed).toEqual([]);
    clock.advance(1);
    expect([budget.counted, resumed]).toEqual([0, ["b"]]);
    stuck.sent("2", 10);
    expect(budget.counted).toBe(0);
    // It moves again: what is left of it counts.
    stuck.answered("1");
    expect(budget.counted).toBe(10);
  });

  it("leaves no timer behind when nobody waits", () => {
    const { clock, open } = start();
    const [a, b] = [open("a"), open("b")];
    a.sent("1", 200);
    b.ready();
    a.answered("1");
    clock.advance(1000);
    expect(clock.pending).toBe(0);
  });
});
