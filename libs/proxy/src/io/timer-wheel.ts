import type { CancelTimer, Clock } from "@lateen/kernel";

const TICK_MS = 8;
const SLOTS = 1024;

/**
 * One coarse timer wheel per worker: arming and cancelling are a few assignments and allocate nothing, so that requests may carry
 * several deadlines. Resolution is 8 ms, never early. A single `Clock` timer runs, only while something is armed.
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #slots: (WheelTimer | undefined)[] = new Array<WheelTimer | undefined>(SLOTS).fill(undefined);
  readonly #onFired: () => void;
  readonly #onDefect: (error: unknown) => void;
  #tick: number;
  #armed = 0;
  #wakeTick = Number.POSITIVE_INFINITY;
  #cancelWake: CancelTimer | undefined;
  #held = false;
  /** What the clocks said since {@link hold}; NaN: not asked yet. */
  #heldNow = Number.NaN;
  #heldWall = Number.NaN;

  /**
   * @param onFired runs after each batch of callbacks (the io loop flushes its writes there).
   * @param onDefect told what a callback threw, so that the others still run; without it the error is thrown.
   */
  constructor(clock: Clock, onFired: () => void, onDefect?: (error: unknown) => void) {
    this.#clock = clock;
    this.#onFired = onFired;
    this.#onDefect = onDefect ?? rethrow;
    this.#tick = Math.floor(clock.monotonic() / TICK_MS);
  }

  /** A timer that may be armed and cancelled any number of times. */
  timer(callback: () => void): WheelTimer {
    return new WheelTimer(this, callback);
  }

  /** Time stands still until {@link letGo}: one event asks for it many times, and every question costs. */
  hold(): void {
    this.#held = true;
    this.#heldNow = Number.NaN;
    this.#heldWall = Number.NaN;
  }

  letGo(): void {
    this.#held = false;
  }

  /** Monotonic milliseconds. */
  now(): number {
    if (!this.#held) return this.#clock.monotonic();
    if (Number.isNaN(this.#heldNow)) this.#heldNow = this.#clock.monotonic();
    return this.#heldNow;
  }

  /** Wall clock, epoch milliseconds. */
  wallNow(): number {
    if (!this.#held) return this.#clock.now();
    if (Number.isNaN(this.#heldWall)) this.#heldWall = this.#clock.now();
    return this.#heldWall;
  }

  /** Stops the underlying clock timer; nothing fires afterwards. */
  close(): void {
    this.#cancelWake?.();
    this.#slots.fill(undefined);
    this.#armed = 0;
  }

  /** @internal */
  insert(timer: WheelTimer, ms: number): void {
    const due = Math.floor((this.now() + Math.max(0, ms)) / TICK_MS) + 1;
    timer.due = due;
    const slot = due % SLOTS;
    timer.slot = slot;
    const first = this.#slots[slot];
    timer.next = first;
    timer.previous = undefined;
    if (first) first.previous = timer;
    this.#slots[slot] = timer;
    this.#armed++;
    if (due < this.#wakeTick) this.#wakeAt(due);
  }

  /** @internal */
  remove(timer: WheelTimer): void {
    if (timer.previous) timer.previous.next = timer.next;
    else this.#slots[timer.slot] = timer.next;
    if (timer.next) timer.next.previous = timer.previous;
    timer.next = undefined;
    timer.previous = undefined;
    timer.slot = -1;
    this.#armed--;
  }

  #wakeAt(tick: number): void {
    this.#cancelWake?.();
    this.#wakeTick = tick;
    this.#cancelWake = this.#clock.after(Math.max(1, tick * TICK_MS - this.#clock.monotonic()), () => this.#advance());
  }

  #advance(): void {
    const now = Math.floor(this.#clock.monotonic() / TICK_MS);
    this.#wakeTick = Number.POSITIVE_INFINITY;
    const steps = Math.min(now - this.#tick, SLOTS);
    for (let tick = now - steps + 1; tick <= now; tick++) this.#fireSlot(tick % SLOTS, now);
    this.#tick = Math.max(this.#tick, now);
    this.#onFired();
    // Callbacks may have armed timers, but others may be due before those.
    if (this.#armed > 0) this.#wakeAt(Math.min(this.#wakeTick, this.#nextDue(now)));
  }

  #fireSlot(slot: number, now: number): void {
    let timer = this.#slots[slot];
    while (timer) {
      if (timer.due > now) {
        timer = timer.next;
        continue;
      }
      this.remove(timer);
      try {
        timer.callback();
      } catch (error) {
        this.#onDefect(error);
      }
      // The callback may have changed the list in any way: start over. What it armed is due later, so this ends.
      timer = this.#slots[slot];
    }
  }

  /** The first tick that has something due within one turn of the wheel, else one turn from now. */
  #nextDue(now: number): number {
    for (let tick = now + 1; tick < now + SLOTS; tick++) {
      for (let timer = this.#slots[tick % SLOTS]; timer; timer = timer.next) if (timer.due <= tick) return tick;
    }
    return now + SLOTS;
  }
}

function rethrow(error: unknown): never {
  throw error;
}

/** See {@link TimerWheel.timer}. */
export class WheelTimer {
  readonly callback: () => void;
  readonly #wheel: TimerWheel;
  /** @internal */ due = 0;
  /** @internal */ slot = -1;
  /** @internal */ next: WheelTimer | undefined = undefined;
  /** @internal */ previous: WheelTimer | undefined = undefined;

  constructor(wheel: TimerWheel, callback: () => void) {
    this.#wheel = wheel;
    this.callback = callback;
  }

  get armed(): boolean {
    return this.slot >= 0;
  }

  /** Fires once after `ms`; arming again moves the deadline. */
  arm(ms: number): void {
    if (this.slot >= 0) this.#wheel.remove(this);
    this.#wheel.insert(this, ms);
  }

  cancel(): void {
    if (this.slot >= 0) this.#wheel.remove(this);
  }
}
