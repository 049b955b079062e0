import { HeadView, hashName, MAX_HEADERS } from "@lateen/traffic";
import { equalsIgnoreCase } from "./chars.ts";
import { K, KNOWN_NAMES, knownByHash } from "./known-headers.ts";

/** Largest head, request or response; one byte more is 431 (Envoy's 60 KiB). */
export const MAX_HEAD_BYTES = 60 * 1024;
const EXTRA_BYTES = 1024;
const UNDERSCORE = 95;
/** Largest head memory that is reused freely. */
const KEPT_BYTES = 16 * 1024;
/** Heads with more that are kept nevertheless: who sends large heads only to have them refused must not make garbage of each. */
const LARGE_KEPT = 4;

/**
 * A parsed HTTP/1 head in memory of its own: the codec copies it here once, so that filters, retries and the access log may read
 * it for as long as the exchange lives. Offsets count from the head's first byte. Behind the head there is room for replaced
 * paths and authorities.
 */
export class Http1Head extends HeadView {
  /** Header index by position in KNOWN_NAMES, -1 when absent (the first one when repeated). */
  readonly known: Int8Array;
  /** The same memory, four at a time: it is cleared for every head. */
  readonly #knownWords = new Int32Array(Math.ceil(KNOWN_NAMES.length / 4));
  /** 1 = do not forward this header. */
  readonly drop = new Uint8Array(MAX_HEADERS);
  /** Length of the whole head with its final empty line. */
  length = 0;
  /** 2 for a head that came over HTTP/2. */
  major = 1;
  /** Minor version: HTTP/1.`minor`. */
  minor = 1;
  /** -1 when there is no Content-Length. */
  contentLength = -1;
  chunked = false;
  /** The connection ends after this message. */
  close = false;
  /** `Connection` names `upgrade`. */
  connectionUpgrade = false;
  form: "origin" | "absolute" | "authority" | "asterisk" = "origin";
  /** Absolute form said https. */
  secureTarget = false;
  /** The sender takes trailers (`te: trailers`), which the next hop may be told. */
  teTrailers = false;
  /** HTTP/2: the sender wants fields of this head in no compression table. */
  neverIndex = false;
  /** Why the parser refused, for RESPONSE_CODE_DETAILS. */
  error = "";
  #memory: Buffer = Buffer.allocUnsafeSlow(2048);
  #used = 0;

  constructor() {
    super();
    this.known = new Int8Array(this.#knownWords.buffer);
  }

  reset(): void {
    this.methodStart = 0;
    this.methodEnd = 0;
    this.pathStart = 0;
    this.pathEnd = 0;
    this.queryStart = 0;
    this.authorityStart = 0;
    this.authorityEnd = 0;
    this.status = 0;
    this.count = 0;
    for (let i = 0; i < this.#knownWords.length; i++) this.#knownWords[i] = -1;
    this.length = 0;
    this.major = 1;
    this.minor = 1;
    this.contentLength = -1;
    this.chunked = false;
    this.close = false;
    this.connectionUpgrade = false;
    this.form = "origin";
    this.secureTarget = false;
    this.teTrailers = false;
    this.neverIndex = false;
    this.error = "";
  }

  /** Becomes a copy of another head with all that was changed in it. */
  copyFrom(other: Http1Head): void {
    this.methodStart = other.methodStart;
    this.methodEnd = other.methodEnd;
    this.pathStart = other.pathStart;
    this.pathEnd = other.pathEnd;
    this.queryStart = other.queryStart;
    this.authorityStart = other.authorityStart;
    this.authorityEnd = other.authorityEnd;
    this.status = other.status;
    this.count = other.count;
    this.offsets.set(other.offsets.subarray(0, other.count * 4));
    this.nameHashes.set(other.nameHashes.subarray(0, other.count));
    this.drop.set(other.drop.subarray(0, other.count));
    this.known.set(other.known);
    this.length = other.length;
    this.major = other.major;
    this.minor = other.minor;
    this.contentLength = other.contentLength;
    this.chunked = other.chunked;
    this.close = other.close;
    this.connectionUpgrade = other.connectionUpgrade;
    this.form = other.form;
    this.secureTarget = other.secureTarget;
    this.teTrailers = other.teTrailers;
    this.neverIndex = other.neverIndex;
    this.error = other.error;
    const used = other.#used;
    if (this.#memory.length < used) this.#memory = Buffer.allocUnsafeSlow(used + EXTRA_BYTES);
    this.#memory.set(other.#memory.subarray(0, used), 0);
    this.#used = used;
    this.bytes = this.#memory;
  }

  /** Takes the parsed head into own memory. Offsets are relative already. */
  adopt(bytes: Buffer, start: number): void {
    if (this.#memory.length < this.length + EXTRA_BYTES) {
      this.#memory = Buffer.allocUnsafeSlow(this.length + EXTRA_BYTES);
    }
    bytes.copy(this.#memory, 0, start, start + this.length);
    this.#used = this.length;
    this.bytes = this.#memory;
  }

  /** Starts a head that is put together field by field (HTTP/2); its lines are the ones HTTP/1 would have. */
  startFields(): void {
    this.reset();
    this.#used = 0;
    this.bytes = this.#memory;
  }

  /** Copies bytes behind what is there; answers where they start. */
  putBytes(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    this.#reserve(length);
    const to = this.#used;
    if (length < 48) for (let i = 0; i < length; i++) this.#memory[to + i] = bytes[start + i] as number;
    else this.#memory.set(bytes.subarray(start, end), to);
    this.#used += length;
    return to;
  }

  /** Adds a whole line, `name: value` with its CRLF, of which the offsets are given. Answers its index; the caller keeps to MAX_HEADERS. */
  addLine(line: Uint8Array, nameEnd: number, end: number, hash: number): number {
    const at = this.putBytes(line, 0, end + 2);
    const index = this.count++;
    const p = index * 4;
    this.offsets[p] = at;
    this.offsets[p + 1] = at + nameEnd;
    this.offsets[p + 2] = at + nameEnd + 2;
    this.offsets[p + 3] = at + end;
    this.nameHashes[index] = hash;
    this.drop[index] = 0;
    return index;
  }

  /** Ends what {@link startFields} began. */
  finishFields(): void {
    this.length = this.#used + 2;
    this.#reserve(2);
    this.#used = this.length;
  }

  has(known: number): boolean {
    return (this.known[known] as number) >= 0;
  }

  /** Text of a known header, or undefined. */
  knownText(known: number): string | undefined {
    const index = this.known[known] as number;
    return index < 0 ? undefined : this.valueText(index);
  }

  /** All values of a known header joined with `,`, or undefined. */
  knownJoined(known: number): string | undefined {
    let index = this.known[known] as number;
    if (index < 0) return undefined;
    const name = KNOWN_NAMES[known] as string;
    const hash = this.nameHashes[index] as number;
    let text = this.valueText(index);
    for (index = this.nextText(name, hash, index + 1); index >= 0; index = this.nextText(name, hash, index + 1)) {
      text += `,${this.valueText(index)}`;
    }
    return text;
  }

  /** Takes a known header out of the message: it is neither forwarded nor found any more. */
  dropKnown(known: number): void {
    let index = this.known[known] as number;
    if (index < 0) return;
    const hash = this.nameHashes[index] as number;
    for (; index < this.count; index++) if (this.nameHashes[index] === hash) this.#dropAt(index);
    this.known[known] = -1;
  }

  /** Takes every header with this lower-case name out of the message. */
  dropText(name: string): void {
    const hash = hashName(name);
    for (let i = this.nextText(name, hash, 0); i >= 0; i = this.nextText(name, hash, i + 1)) this.#dropAt(i);
    const known = knownByHash(hash);
    if (known >= 0 && KNOWN_NAMES[known] === name) this.known[known] = -1;
  }

  /** Index of the next header with this lower-case name at or after `from`, or -1. */
  nextText(name: string, hash: number, from: number): number {
    const { bytes, offsets } = this;
    for (let i = from; i < this.count; i++) {
      if (this.nameHashes[i] !== hash) continue;
      if (equalsIgnoreCase(bytes, offsets[i * 4] as number, offsets[i * 4 + 1] as number, name)) return i;
    }
    return -1;
  }

  /** Value of the first header with this lower-case name. */
  textOf(name: string): string | undefined {
    const index = this.nextText(name, hashName(name), 0);
    return index < 0 ? undefined : this.valueText(index);
  }

  /** Adds a header that conditions find and that is not forwarded by itself. False: there is no room for one more. */
  addReadable(name: string, value: string): boolean {
    if (this.count >= MAX_HEADERS) return false;
    const hash = hashName(name);
    const line = Buffer.from(`${name}: ${value}\r\n`, "latin1");
    const index = this.addLine(line, name.length, line.length - 2, hash);
    this.drop[index] = 1;
    const known = knownByHash(hash);
    if (known >= 0 && KNOWN_NAMES[known] === name && !this.has(known)) this.known[known] = index;
    return true;
  }

  /** Takes every header with `_` in its name out of the message; answers how many. */
  dropUnderscored(): number {
    let dropped = 0;
    for (let i = this.#nextUnderscored(0); i >= 0; i = this.#nextUnderscored(i + 1), dropped++) this.#dropAt(i);
    return dropped;
  }

  get hasUnderscores(): boolean {
    return this.#nextUnderscored(0) >= 0;
  }

  #nextUnderscored(from: number): number {
    const { bytes, offsets } = this;
    for (let i = from; i < this.count; i++) {
      const end = offsets[i * 4 + 1] as number;
      for (let at = offsets[i * 4] as number; at < end; at++) if (bytes[at] === UNDERSCORE) return i;
    }
    return -1;
  }

  #dropAt(index: number): void {
    this.drop[index] = 1;
    // Nothing has this hash, so nothing finds the header: what is judged is what is forwarded.
    this.nameHashes[index] = 0;
  }

  /** Replaces path and query (with its `?`). */
  replacePath(path: string): void {
    this.pathStart = this.#put(path);
    this.pathEnd = this.#used;
    const query = path.indexOf("?");
    this.queryStart = query < 0 ? this.pathEnd : this.pathStart + query;
  }

  replaceAuthority(authority: string): void {
    this.authorityStart = this.#put(authority);
    this.authorityEnd = this.#used;
  }

  /** Bytes of memory it holds for texts. */
  get capacity(): number {
    return this.#memory.length;
  }

  get methodText(): string {
    return this.text(this.methodStart, this.methodEnd);
  }
  get pathText(): string {
    return this.text(this.pathStart, this.pathEnd);
  }
  get authorityText(): string {
    return this.text(this.authorityStart, this.authorityEnd);
  }
  get isHead(): boolean {
    return this.methodIs("HEAD");
  }
  /** Whether this is the method; makes no string of it. */
  methodIs(name: string): boolean {
    const { bytes, methodStart, methodEnd } = this;
    if (methodEnd - methodStart !== name.length) return false;
    for (let i = 0; i < name.length; i++) if (bytes[methodStart + i] !== name.charCodeAt(i)) return false;
    return true;
  }
  get isConnect(): boolean {
    return this.form === "authority";
  }
  /** Whether repeating the request is harmless (RFC 9110 §9.2.2). */
  get isIdempotent(): boolean {
    switch (this.methodText) {
      case "GET":
      case "HEAD":
      case "OPTIONS":
      case "TRACE":
      case "PUT":
      case "DELETE":
        return true;
      default:
        return false;
    }
  }
  /** Whether a request of this method has no content as a rule, so that its lack is not worth a word (RFC 9110 §8.6). */
  get isBodilessMethod(): boolean {
    switch (this.methodEnd - this.methodStart) {
      case 3:
        return this.methodIs("GET");
      case 4:
        return this.isHead;
      case 5:
        return this.methodIs("TRACE");
      case 6:
        return this.methodIs("DELETE");
      case 7:
        return this.methodIs("CONNECT");
      default:
        return false;
    }
  }
  get expectsContinue(): boolean {
    return this.has(K.expect);
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#memory.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#memory.length * 2, this.#used + bytes + EXTRA_BYTES));
    larger.set(this.#memory.subarray(0, this.#used), 0);
    this.#memory = larger;
    this.bytes = larger;
  }

  #put(text: string): number {
    this.#reserve(text.length);
    const start = this.#used;
    this.#used += this.#memory.write(text, start, "latin1");
    return start;
  }
}

/** Heads are reused: their tables are large next to a request. */
export class HeadPool {
  readonly #free: Http1Head[] = [];
  readonly #limit: number;
  #large = 0;

  constructor(limit = 1024) {
    this.#limit = limit;
  }

  take(): Http1Head {
    const head = this.#free.pop();
    if (head === undefined) return new Http1Head();
    if (head.capacity > KEPT_BYTES) this.#large--;
    return head;
  }

  /** Of heads that grew large only a few are kept: one flood of them must not stay in memory. */
  give(head: Http1Head): void {
    if (this.#free.length >= this.#limit) return;
    if (head.capacity > KEPT_BYTES) {
      if (this.#large >= LARGE_KEPT) return;
      this.#large++;
    }
    this.#free.push(head);
  }
}
