const SHORT_TEXT = 64;
/** As much is copied byte by byte. */
const SHORT_COPY = 40;
const ZERO = 48;

/** Memory that lines are written into one after another, a byte for each character. What does not fit is left out and noted. */
export class LineBuffer {
  bytes: Buffer;
  length = 0;
  /** Something did not fit since this was last set to false. */
  overflow = false;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Latin1 text: the lower half of each character. */
  text(text: string): void {
    const { length } = text;
    let at = this.length;
    if (at + length > this.bytes.length) {
      this.overflow = true;
      return;
    }
    // A call out of JavaScript costs more than a few bytes do.
    if (length <= SHORT_TEXT) {
      const { bytes } = this;
      for (let i = 0; i < length; i++) bytes[at++] = text.charCodeAt(i);
      this.length = at;
    } else this.length = at + this.bytes.write(text, at, "latin1");
  }

  raw(from: Uint8Array, start: number, end: number): void {
    let at = this.length;
    if (at + end - start > this.bytes.length) {
      this.overflow = true;
      return;
    }
    const { bytes } = this;
    if (end - start > SHORT_COPY && from instanceof Buffer) {
      this.length = at + from.copy(bytes, at, start, end);
      return;
    }
    for (let i = start; i < end; i++) bytes[at++] = from[i] as number;
    this.length = at;
  }

  value(value: string | number | undefined): void {
    if (typeof value === "number") this.number(value);
    else this.text(value ?? "-");
  }

  /** As JavaScript spells it. */
  number(value: number): void {
    if (!(Number.isInteger(value) && value >= 0 && value < 1_000_000)) {
      this.text(String(value));
      return;
    }
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    const end = this.length + digits;
    if (end > this.bytes.length) {
      this.overflow = true;
      return;
    }
    let rest = value;
    for (let at = end - 1; at >= this.length; at--) {
      this.bytes[at] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.length = end;
  }
}
