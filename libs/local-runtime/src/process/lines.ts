/** Longest line that is kept in one piece, in characters. */
const MAX_LINE = 65_536;

/** Cuts a stream of text into lines. A line that is too long is cut into several. */
export class LineSplitter {
  readonly #emit: (line: string) => void;
  #rest = "";

  constructor(emit: (line: string) => void) {
    this.#emit = emit;
  }

  push(text: string): void {
    let at = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", at)) {
      const line = this.#rest + text.slice(at, end);
      this.#rest = "";
      this.#emit(line.endsWith("\r") ? line.slice(0, -1) : line);
      at = end + 1;
    }
    this.#rest += text.slice(at);
    while (this.#rest.length > MAX_LINE) {
      this.#emit(this.#rest.slice(0, MAX_LINE));
      this.#rest = this.#rest.slice(MAX_LINE);
    }
  }

  /** Emits what is left without a line end. */
  end(): void {
    if (this.#rest !== "") this.#emit(this.#rest);
    this.#rest = "";
  }
}
