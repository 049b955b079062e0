import type { TimerWheel, WheelTimer } from "../io/timer-wheel.ts";

/** How often connections without a request are looked at. */
const STEPS = 20;

/**
 * Lets connections go little by little, so that those who had them do not all come back at once: a response ends its connection with a
 * chance that grows from 0 to 1, and of the connections that rest an equal part is closed in each step.
 * @see Envoy's drain strategy `gradual`
 */
export class GradualDrain {
  readonly #wheel: TimerWheel;
  readonly #random: () => number;
  readonly #overMs: number;
  readonly #since: number;
  readonly #timer: WheelTimer;
  #step = 0;

  /** @param closeIdle closes this share (0–1) of the connections that rest. */
  constructor(wheel: TimerWheel, random: () => number, overMs: number, closeIdle: (share: number) => void) {
    this.#wheel = wheel;
    this.#random = random;
    this.#overMs = overMs;
    this.#since = wheel.now();
    this.#timer = wheel.timer(() => {
      const left = STEPS - this.#step++;
      if (left > 1) this.#timer.arm(overMs / (STEPS + 1));
      closeIdle(1 / left);
    });
    this.#timer.arm(overMs / (STEPS + 1));
  }

  /** Whether the response that begins now is to be its connection's last. */
  ends(): boolean {
    const elapsed = this.#wheel.now() - this.#since;
    return elapsed >= this.#overMs || this.#random() < elapsed / this.#overMs;
  }

  stop(): void {
    this.#timer.cancel();
  }
}
