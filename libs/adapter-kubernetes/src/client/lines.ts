/** Cuts a stream of bytes into lines. A line that is not complete yet waits; one that is too long ends it all. */
export class LineSplitter {
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
  #waiting = 0;

  /** @param maxBytes longest line. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * @returns the lines that became complete, without their ends; empty ones are left out.
   * @throws RangeError for a line that is too long.
   */
  push(chunk: Buffer): readonly string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#keep(chunk.subarray(start, end));
      const line = (this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts))?.toString("utf8").trim();
      if (line) lines.push(line);
      this.#parts = [];
      this.#waiting = 0;
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(part: Buffer): void {
    this.#parts.push(part);
    this.#waiting += part.length;
    if (this.#waiting > this.#maxBytes) throw new RangeError(`a line is longer than ${this.#maxBytes} bytes`);
  }
}
