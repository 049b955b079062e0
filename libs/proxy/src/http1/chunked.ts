import { CR, LF, TOKEN, VALUE } from "./chars.ts";

/** Receives body bytes out of their framing. */
export interface BodySink {
  onBodySpan(bytes: Buffer, start: number, end: number): void;
}

const MAX_SIZE_DIGITS = 12;
const MAX_EXTENSION_BYTES = 1024;
/** Most bytes of trailers that are kept. */
export const MAX_TRAILER_BYTES = 8 * 1024;
/** Fields that may not come as trailers because they would change framing or routing (RFC 9110 §6.5.1). */
export const FORBIDDEN_TRAILERS =
  /^(transfer-encoding|content-length|host|connection|keep-alive|te|trailer|upgrade|content-(encoding|type|range)|authorization|set-cookie|cookie|expect)$/;

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER_START = 6;
const TRAILER = 7;
const END_LF = 8;
const TRAILER_LF = 9;

/**
 * The chunked transfer coding, strict: CRLF only, at most 12 hex digits, bounded extensions and trailers. Resumable at any byte.
 * ## Size → (Extension) → Size LF → Data → Data CR → Data LF → Size … ; a size of 0 → trailer lines → End LF
 * @see RFC 9112 §7.1
 */
export class ChunkedDecoder {
  done = false;
  /** Trailer lines with their CRLFs, checked, or empty. */
  trailers = "";
  #state = SIZE;
  #left = 0;
  #digits = 0;
  #extension = 0;

  reset(): void {
    this.done = false;
    this.trailers = "";
    this.#state = SIZE;
    this.#left = 0;
    this.#digits = 0;
    this.#extension = 0;
  }

  /** Consumes up to the end of the body. Answers the offset behind what was used, or -1 when the coding is broken. */
  decode(bytes: Buffer, start: number, end: number, sink: BodySink): number {
    let i = start;
    while (i < end && !this.done) {
      if (this.#state === DATA) {
        const take = Math.min(this.#left, end - i);
        this.#left -= take;
        if (this.#left === 0) this.#state = DATA_CR;
        i += take;
        sink.onBodySpan(bytes, i - take, i);
        continue;
      }
      if (!this.#step(bytes[i++] as number)) return -1;
    }
    return i;
  }

  #step(byte: number): boolean {
    switch (this.#state) {
      case SIZE:
        return this.#sizeByte(byte);
      case EXTENSION:
        if (byte === CR) this.#state = SIZE_LF;
        else if (VALUE[byte] === 0 || ++this.#extension > MAX_EXTENSION_BYTES) return false;
        return true;
      case SIZE_LF:
        if (byte !== LF) return false;
        this.#state = this.#left === 0 ? TRAILER_START : DATA;
        return true;
      case DATA_CR:
        this.#state = DATA_LF;
        return byte === CR;
      case DATA_LF:
        this.#state = SIZE;
        this.#digits = 0;
        this.#extension = 0;
        return byte === LF;
      default:
        return this.#trailerByte(byte);
    }
  }

  #sizeByte(byte: number): boolean {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#left = this.#left * 16 + digit;
      return ++this.#digits <= MAX_SIZE_DIGITS;
    }
    if (this.#digits === 0) return false;
    if (byte === 59) this.#state = EXTENSION;
    else if (byte === CR) this.#state = SIZE_LF;
    else return false;
    return true;
  }

  #trailerByte(byte: number): boolean {
    switch (this.#state) {
      case TRAILER_START:
        if (byte === CR) {
          this.#state = END_LF;
          return true;
        }
        this.#state = TRAILER;
        return this.#trailerText(byte);
      case TRAILER:
        if (byte !== CR) return this.#trailerText(byte);
        this.#state = TRAILER_LF;
        return true;
      case TRAILER_LF:
        this.trailers += "\r\n";
        this.#state = TRAILER_START;
        return byte === LF;
      default:
        this.done = byte === LF;
        return this.done && validTrailers(this.trailers);
    }
  }

  #trailerText(byte: number): boolean {
    if (VALUE[byte] === 0 || this.trailers.length >= MAX_TRAILER_BYTES) return false;
    this.trailers += String.fromCharCode(byte);
    return true;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function validTrailers(text: string): boolean {
  if (text === "") return true;
  for (const line of text.split("\r\n")) {
    if (line === "") continue;
    const colon = line.indexOf(":");
    if (colon <= 0) return false;
    for (let i = 0; i < colon; i++) if ((TOKEN[line.charCodeAt(i)] ?? 0) === 0) return false;
    if (FORBIDDEN_TRAILERS.test(line.slice(0, colon).toLowerCase())) return false;
  }
  return true;
}
