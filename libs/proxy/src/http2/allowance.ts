/** How much of something a peer may do: a store that refills with time and with useful work. */
export class Allowance {
  readonly #capacity: number;
  readonly #perSecond: number;
  #left: number;
  #at: number;

  /** @param now monotonic milliseconds. */
  constructor(capacity: number, perSecond: number, now: number) {
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#left = capacity;
    this.#at = now;
  }

  /** False when it is used up. */
  spend(now: number): boolean {
    if (this.#left <= 0) {
      this.#left = Math.min(this.#capacity, this.#left + ((now - this.#at) * this.#perSecond) / 1000);
      this.#at = now;
      if (this.#left <= 0) return false;
    }
    this.#left--;
    return true;
  }

  earn(amount: number): void {
    this.#left = Math.min(this.#capacity, this.#left + amount);
  }
}
