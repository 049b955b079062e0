import type { TimerWheel } from "../io/timer-wheel.ts";
import { Allowance } from "./allowance.ts";
import { ConnectionFault, ENHANCE_YOUR_CALM } from "./frames.ts";

/** Idle frames: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown types. Work earns more of them. */
const IDLE_FRAMES = 1000;
const IDLE_FRAMES_PER_SECOND = 100;
const EARNED_PER_FRAME = 10;
/** Streams that were reset or refused before they had done anything. */
const RESETS = 1000;
const RESETS_PER_SECOND = 200;
/** Of those, streams whose reset came together with their request: nobody who wants an answer sends that. */
const UNMEANT = 100;
const UNMEANT_PER_SECOND = 20;

/** What a peer may do on one connection that costs us and brings nothing (rapid reset, control frame floods). */
export class PeerBudget {
  readonly #wheel: TimerWheel;
  readonly #idle: Allowance;
  readonly #resets: Allowance;
  readonly #unmeant: Allowance;

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
    this.#idle = new Allowance(IDLE_FRAMES, IDLE_FRAMES_PER_SECOND, wheel.now());
    this.#resets = new Allowance(RESETS, RESETS_PER_SECOND, wheel.now());
    this.#unmeant = new Allowance(UNMEANT, UNMEANT_PER_SECOND, wheel.now());
  }

  /** @throws ConnectionFault when there were too many. */
  idleFrame(): void {
    if (!this.#idle.spend(this.#wheel.now())) throw new ConnectionFault(ENHANCE_YOUR_CALM, "too many idle frames");
  }

  /** A stream that came to nothing. @throws ConnectionFault when there were too many. */
  reset(): void {
    if (!this.#resets.spend(this.#wheel.now())) throw new ConnectionFault(ENHANCE_YOUR_CALM, "too many resets");
  }

  /** A stream that was opened and reset in one read. @throws ConnectionFault when there were too many. */
  unmeant(): void {
    if (!this.#unmeant.spend(this.#wheel.now())) throw new ConnectionFault(ENHANCE_YOUR_CALM, "too many resets");
  }

  /** A frame that carried something, either way. */
  worked(): void {
    this.#idle.earn(EARNED_PER_FRAME);
  }
}
