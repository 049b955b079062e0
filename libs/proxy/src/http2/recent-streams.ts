const PLACES = 64;

/** The streams that ended last, to tell a frame that comes too late from one that breaks the rules. */
export class RecentStreams {
  /** Positive: the peer may send no more on it; negative: we reset it, so that frames may still be under way. */
  readonly #ids = new Int32Array(PLACES);
  #count = 0;

  add(id: number, how: "ended" | "reset"): void {
    this.#ids[this.#count++ % PLACES] = how === "ended" ? id : -id;
  }

  endedByPeer(id: number): boolean {
    return this.#ids.includes(id);
  }

  /** False when the stream was certainly never opened. */
  mayHaveBeen(id: number): boolean {
    return this.#count > PLACES || this.#ids.includes(id) || this.#ids.includes(-id);
  }
}
