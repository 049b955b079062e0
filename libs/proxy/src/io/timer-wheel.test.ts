import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { TimerWheel } from "./timer-wheel.ts";

function rig() {
  const clock = manualClock();
  const defects: unknown[] = [];
  const wheel = new TimerWheel(
    clock,
    () => {},
    (error) => defects.push(error),
  );
  return { clock, wheel, defects };
}

describe("TimerWheel", () => {
  it.each([0, 1, 8, 100, 8191, 8192, 8200, 60_000, 3_600_000])(
    "fires after %d ms, never early, at most 16 ms late",
    (ms) => {
      const { clock, wheel } = rig();
      let fired = 0;
      wheel.timer(() => fired++).arm(ms);
      clock.advance(Math.max(0, ms - 1));
      expect(fired).toBe(0);
      clock.advance(17);
      expect(fired).toBe(1);
      clock.advance(100_000);
      expect(fired).toBe(1);
    },
  );

  it("fires in time what is due before a timer that a callback arms", () => {
    const { clock, wheel } = rig();
    const fired: string[] = [];
    const late = wheel.timer(() => fired.push("late"));
    wheel.timer(() => late.arm(10_000)).arm(50);
    wheel.timer(() => fired.push("soon")).arm(100);
    clock.advance(120);
    expect(fired).toEqual(["soon"]);
    clock.advance(10_000);
    expect(fired).toEqual(["soon", "late"]);
  });

  it("moves a deadline, and forgets what is cancelled", () => {
    const { clock, wheel } = rig();
    let fired = 0;
    const timer = wheel.timer(() => fired++);
    timer.arm(100);
    clock.advance(90);
    timer.arm(100);
    clock.advance(90);
    expect(fired).toBe(0);
    timer.cancel();
    timer.cancel();
    expect(timer.armed).toBe(false);
    clock.advance(1000);
    expect(fired).toBe(0);
  });

  it("fires once at a deadline that was put off again and again, and at one that was moved nearer", () => {
    const { clock, wheel } = rig();
    const fired: number[] = [];
    const timer = wheel.timer(() => fired.push(clock.monotonic()));
    for (let i = 0; i < 5; i++) {
      timer.arm(1000);
      clock.advance(700);
    }
    expect(fired).toEqual([]);
    clock.advance(320);
    expect(fired).toHaveLength(1);
    timer.arm(60_000);
    timer.arm(100);
    clock.advance(120);
    expect(fired).toHaveLength(2);
    clock.advance(120_000);
    expect(fired).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  it("runs the others when a callback fails", () => {
    const { clock, wheel, defects } = rig();
    let fired = 0;
    const broken = new Error("broken");
    wheel
      .timer(() => {
        throw broken;
      })
      .arm(10);
    wheel.timer(() => fired++).arm(10);
    clock.advance(30);
    expect(fired).toBe(1);
    expect(defects).toEqual([broken]);
  });

  it("keeps no clock timer when nothing is armed", () => {
    const { clock, wheel } = rig();
    wheel.timer(() => {}).arm(10);
    clock.advance(50);
    expect(clock.pending).toBe(0);
  });
});

describe("a lent timer", () => {
  const user = () => {
    const it = { fired: 0, onTimer: () => void it.fired++ };
    return it;
  };

  it("fires for its user, and not once it is given back", () => {
    const { clock, wheel } = rig();
    const [one, other] = [user(), user()];
    const timer = wheel.lend(one, 100);
    wheel.lend(other, 100).giveBack(other);
    clock.advance(120);
    expect([one.fired, other.fired]).toEqual([1, 0]);
    timer.arm(50);
    clock.advance(70);
    expect(one.fired).toBe(2);
    timer.giveBack(one);
    clock.advance(1000);
    expect([one.fired, other.fired, clock.pending]).toEqual([2, 0, 0]);
  });

  it("fires for the next user at the next user's time", () => {
    const { clock, wheel } = rig();
    const [one, other] = [user(), user()];
    const timer = wheel.lend(one, 1000);
    timer.giveBack(one);
    clock.advance(400);
    expect(wheel.lend(other, 1000)).toBe(timer);
    clock.advance(990);
    expect([one.fired, other.fired]).toEqual([0, 0]);
    clock.advance(30);
    expect([one.fired, other.fired]).toEqual([0, 1]);
  });

  it("stays with its user when one who had it before gives it back again", () => {
    const { clock, wheel } = rig();
    const [one, other, third] = [user(), user(), user()];
    const timer = wheel.lend(one, 100);
    timer.giveBack(one);
    timer.giveBack(one);
    expect(wheel.lend(other, 100)).toBe(timer);
    timer.giveBack(one);
    expect(wheel.lend(third, 100)).not.toBe(timer);
    clock.advance(120);
    expect([one.fired, other.fired, third.fired]).toEqual([0, 1, 1]);
  });
});
