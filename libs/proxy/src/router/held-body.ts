import type { CollectedBody } from "../chain/spi.ts";

/** What of a request's body came while filters were asked; for one of them it may be collected. */
export class HeldBody {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #collector: { readonly maxBytes: number; readonly done: (body: CollectedBody) => void } | undefined = undefined;

  get collecting(): boolean {
    return this.#collector !== undefined;
  }

  /** Keeps bytes. Answers whether the client should wait. */
  hold(bytes: Buffer, start: number, end: number): boolean {
    this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
    this.#bytes += end - start;
    return this.#collector === undefined || this.full;
  }

  /** As much is there as the collector wants. */
  get full(): boolean {
    return this.#collector !== undefined && this.#bytes >= this.#collector.maxBytes;
  }

  collect(maxBytes: number, done: (body: CollectedBody) => void): void {
    this.#collector = { maxBytes, done };
  }

  /** Tells the collector, which is then one no more. */
  tell(complete: boolean): void {
    const collector = this.#collector;
    this.#collector = undefined;
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    collector?.done({ bytes: this.#chunks[0] ?? NOTHING, complete });
  }

  /** All of it, which is not kept any more. */
  take(): readonly Buffer[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    this.#collector = undefined;
    return chunks;
  }
}

const NOTHING = Buffer.alloc(0);
