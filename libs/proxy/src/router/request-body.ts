/** Bytes of a body that may be kept for another attempt (Envoy's per-connection buffer limit). */
export const MAX_REPLAY_BYTES = 1024 * 1024;

/**
 * The request body between client and attempts: what arrived before an attempt could take it, and, as long as it is small enough,
 * everything, so that another attempt can send it again.
 */
export class RequestBody {
  #chunks: Buffer[] = [];
  #size = 0;
  #keep: boolean;
  #replayable = true;

  /** @param keep whether further attempts may follow. */
  constructor(keep: boolean) {
    this.#keep = keep;
  }

  /** Another attempt could send everything that has arrived. */
  get replayable(): boolean {
    return this.#replayable;
  }

  /** Bytes held. */
  get size(): number {
    return this.#size;
  }

  /** No attempt takes the bytes yet: they are copied. */
  hold(bytes: Buffer, start: number, end: number): void {
    this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
    this.#size += end - start;
  }

  /** Bytes an attempt takes now. */
  passed(bytes: Buffer, start: number, end: number): void {
    if (!this.#keep) {
      this.#replayable = false;
      return;
    }
    if (this.#size + end - start > MAX_REPLAY_BYTES) this.stopKeeping();
    else this.hold(bytes, start, end);
  }

  /** Gives a new attempt everything so far. */
  replay(write: (chunk: Buffer) => void): void {
    for (const chunk of this.#chunks) write(chunk);
    if (!this.#keep || this.#size > MAX_REPLAY_BYTES) this.stopKeeping();
  }

  /** The response has begun, or no more attempts follow. */
  stopKeeping(): void {
    if (this.#size > 0) this.#replayable = false;
    this.#keep = false;
    this.#chunks = [];
    this.#size = 0;
  }
}
