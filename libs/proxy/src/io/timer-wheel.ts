import type { CancelTimer, Clock } from "@lateen/kernel";

const TICK_MS = 8;
const SLOTS = 1024;
/** Lengths of timers that are told apart, by powers of two. */
const LENGTHS = 32;
/** Timers that are kept for the next user, of each length. */
const MOST_SPARE = 1024;

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
  readonly #spare = Array.from({ length: LENGTHS + 1 }, (): LentTimer[] => []);
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

  /**
   * A timer for one deadline that hardly ever comes, armed: what nearly every request has several of. It was somebody else's before and
   * stands in the wheel already, so that neither arming it nor giving it back touches the wheel.
   */
  lend(user: TimerUser, ms: number): LentTimer {
    // Those of alike lengths share: one that was armed for longer would have to be moved.
    const spare = this.#spare[LENGTHS - Math.clz32(ms)] as LentTimer[];
    const timer = spare.pop() ?? new LentTimer(this, spare);
    timer.user = user;
    timer.arm(ms);
    return timer;
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

  /** @internal The first tick that is not before the end of `ms`. */
  tickAfter(ms: number): number {
    return Math.floor((this.now() + Math.max(0, ms)) / TICK_MS) + 1;
  }

  /** @internal */
  insert(timer: WheelTimer, due: number): void {
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
      const { deadline } = timer;
      if (deadline > now) this.insert(timer, deadline);
      else if (deadline !== NEVER) {
        timer.deadline = NEVER;
        try {
          timer.callback();
        } catch (error) {
          this.#onDefect(error);
        }
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

/**
 * Tick of what is not armed. A small integer like all ticks: an infinity would make V8 keep ticks as boxed doubles, in memory of their own,
 * and throw compiled code away when it finds out.
 */
const NEVER = -1;

/** See {@link TimerWheel.timer}. */
export class WheelTimer {
  readonly callback: () => void;
  readonly #wheel: TimerWheel;
  /** @internal Tick at which the wheel comes by; before the deadline if that was put off. */
  due = 0;
  /** @internal */ deadline = NEVER;
  /** @internal */ slot = -1;
  /** @internal */ next: WheelTimer | undefined = undefined;
  /** @internal */ previous: WheelTimer | undefined = undefined;

  constructor(wheel: TimerWheel, callback: () => void) {
    this.#wheel = wheel;
    this.callback = callback;
  }

  get armed(): boolean {
    return this.deadline !== NEVER;
  }

  /** Fires once after `ms`; arming again moves the deadline. */
  arm(ms: number): void {
    const deadline = this.#wheel.tickAfter(ms);
    this.deadline = deadline;
    if (this.slot >= 0) {
      // A deadline that is put off is looked at again when the wheel comes by.
      if (this.due <= deadline) return;
      this.#wheel.remove(this);
    }
    this.#wheel.insert(this, deadline);
  }

  cancel(): void {
    this.deadline = NEVER;
    if (this.slot >= 0) this.#wheel.remove(this);
  }
}

/** Whoever a lent timer calls. */
export interface TimerUser {
  onTimer(): void;
}

/** See {@link TimerWheel.lend}. */
export class LentTimer extends WheelTimer {
  /** @internal */ user: TimerUser | undefined = undefined;
  readonly #spare: LentTimer[];

  /** @internal @param spare where it goes when it is given back. */
  constructor(wheel: TimerWheel, spare: LentTimer[]) {
    super(wheel, () => this.user?.onTimer());
    this.#spare = spare;
  }

  /** Does not fire any more; `user` must not use it again. Nothing when it is somebody else's by now. */
  giveBack(user: TimerUser): void {
    if (this.user !== user) return;
    this.user = undefined;
    this.deadline = NEVER;
    if (this.#spare.length < MOST_SPARE) this.#spare.push(this);
    else this.cancel();
  }
}
