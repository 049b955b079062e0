import type { CancelTimer, Clock } from "@lateen/kernel";
import { messageOf } from "@lateen/kernel";
import type { ProbeResult, ProbeTiming } from "./probe.ts";

/** First pause between checks; it grows up to {@link SLOWEST_START_MS} until the first success. */
const QUICKEST_MS = 40;
const SLOWEST_START_MS = 500;

/**
 * Checks again and again. Until the first success the checks are frequent, whatever the probe's period and initial delay are: an
 * early check does no harm and saves seconds. Afterwards the probe's own period and thresholds count.
 */
export class ReadinessLoop {
  readonly #clock: Clock;
  readonly #timing: ProbeTiming;
  readonly #check: () => Promise<ProbeResult>;
  readonly #onChange: (ready: boolean, reason: string) => void;
  #cancel: CancelTimer | undefined;
  #generation = 0;
  #ready = false;
  #reason = "";
  #successes = 0;
  #failures = 0;
  #pauseMs = QUICKEST_MS;

  constructor(options: {
    readonly clock: Clock;
    readonly timing: ProbeTiming;
    readonly check: () => Promise<ProbeResult>;
    readonly onChange: (ready: boolean, reason: string) => void;
  }) {
    this.#clock = options.clock;
    this.#timing = options.timing;
    this.#check = options.check;
    this.#onChange = options.onChange;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** What the last failed check said. */
  get reason(): string {
    return this.#reason;
  }

  /** Starts over: not ready, quick checks. */
  start(): void {
    this.stop();
    this.#pauseMs = QUICKEST_MS;
    void this.#step(this.#generation);
  }

  /** Not ready, and no more checks. */
  stop(): void {
    this.#generation++;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#successes = 0;
    this.#failures = 0;
    this.#ready = false;
  }

  async #step(generation: number): Promise<void> {
    let result: ProbeResult;
    try {
      result = await this.#check();
    } catch (error) {
      result = { ok: false, reason: messageOf(error) };
    }
    if (generation !== this.#generation) return;
    if (result.ok) this.#succeeded();
    else this.#failed(result.reason);
    if (generation !== this.#generation) return;
    this.#cancel = this.#clock.after(this.#nextPause(), () => void this.#step(generation));
  }

  #succeeded(): void {
    this.#failures = 0;
    this.#successes++;
    if (this.#ready || this.#successes < this.#timing.successThreshold) return;
    this.#ready = true;
    this.#reason = "";
    this.#onChange(true, "");
  }

  #failed(reason: string): void {
    this.#successes = 0;
    this.#failures++;
    this.#reason = reason;
    if (!this.#ready || this.#failures < this.#timing.failureThreshold) return;
    this.#ready = false;
    this.#pauseMs = QUICKEST_MS;
    this.#onChange(false, reason);
  }

  #nextPause(): number {
    if (this.#ready) return this.#timing.periodMs;
    const pause = this.#pauseMs;
    this.#pauseMs = Math.min(pause * 1.3, SLOWEST_START_MS);
    return Math.min(pause, this.#timing.periodMs);
  }
}
