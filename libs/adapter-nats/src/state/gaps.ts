/** Emitters that are remembered; the one that was silent for longest is forgotten first. */
const MOST_EMITTERS = 4096;

/** Counts what is missing in the numbers that emitters give their events. Of an emitter that is new only what comes later can be missing. */
export class Gaps {
  readonly #last = new Map<string, number>();
  #missing = 0;

  get missing(): number {
    return this.#missing;
  }

  take(emitter: string, number: number): void {
    const last = this.#last.get(emitter);
    if (last !== undefined && number > last + 1) this.#missing += number - last - 1;
    this.#last.delete(emitter);
    this.#last.set(emitter, Math.max(number, last ?? 0));
    if (this.#last.size <= MOST_EMITTERS) return;
    for (const oldest of this.#last.keys()) {
      this.#last.delete(oldest);
      return;
    }
  }
}
