import { HeadView, MAX_HEADERS } from "@lateen/traffic";
import { K, KNOWN_NAMES } from "./known-headers.ts";

/** Largest head, request or response; one byte more is 431 (Envoy's 60 KiB). */
export const MAX_HEAD_BYTES = 60 * 1024;
const EXTRA_BYTES = 1024;

/**
 * A parsed HTTP/1 head in memory of its own: the codec copies it here once, so that filters, retries and the access log may read
 * it for as long as the exchange lives. Offsets count from the head's first byte. Behind the head there is room for replaced
 * paths and authorities.
 */
export class Http1Head extends HeadView {
  /** Header index by position in KNOWN_NAMES, -1 when absent (the first one when repeated). */
  readonly known = new Int8Array(KNOWN_NAMES.length);
  /** 1 = do not forward this header. */
  readonly drop = new Uint8Array(MAX_HEADERS);
  /** Length of the whole head with its final empty line. */
  length = 0;
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
  /** Why the parser refused, for RESPONSE_CODE_DETAILS. */
  error = "";
  #memory: Buffer = Buffer.allocUnsafeSlow(2048);
  #used = 0;

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
    this.known.fill(-1);
    this.length = 0;
    this.minor = 1;
    this.contentLength = -1;
    this.chunked = false;
    this.close = false;
    this.connectionUpgrade = false;
    this.form = "origin";
    this.secureTarget = false;
    this.error = "";
  }

  /** Takes the parsed head into own memory. Offsets are relative already. */
  adopt(bytes: Uint8Array, start: number): void {
    if (this.#memory.length < this.length + EXTRA_BYTES) {
      this.#memory = Buffer.allocUnsafeSlow(this.length + EXTRA_BYTES);
    }
    this.#memory.set(bytes.subarray(start, start + this.length), 0);
    this.#used = this.length;
    this.bytes = this.#memory;
  }

  has(known: number): boolean {
    return (this.known[known] as number) >= 0;
  }

  /** Text of a known header, or undefined. */
  knownText(known: number): string | undefined {
    const index = this.known[known] as number;
    return index < 0 ? undefined : this.valueText(index);
  }

  dropKnown(known: number): void {
    let index = this.known[known] as number;
    if (index < 0) return;
    const hash = this.nameHashes[index] as number;
    for (; index < this.count; index++) if (this.nameHashes[index] === hash) this.drop[index] = 1;
  }

  /** Marks every header with this lower-case name as dropped. */
  dropNamed(name: Uint8Array, hash: number): void {
    for (let i = this.find(name, hash); i >= 0; i = this.next(name, hash, i + 1)) this.drop[i] = 1;
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
    const b = this.bytes;
    const s = this.methodStart;
    return this.methodEnd - s === 4 && b[s] === 72 && b[s + 1] === 69 && b[s + 2] === 65 && b[s + 3] === 68;
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
  get expectsContinue(): boolean {
    return this.has(K.expect);
  }

  #put(text: string): number {
    if (this.#used + text.length > this.#memory.length) {
      const larger = Buffer.allocUnsafeSlow(this.#used + text.length + EXTRA_BYTES);
      larger.set(this.#memory.subarray(0, this.#used), 0);
      this.#memory = larger;
      this.bytes = larger;
    }
    const start = this.#used;
    this.#used += this.#memory.write(text, start, "latin1");
    return start;
  }
}

/** Heads are reused: their tables are large next to a request. */
export class HeadPool {
  readonly #free: Http1Head[] = [];
  readonly #limit: number;

  constructor(limit = 256) {
    this.#limit = limit;
  }

  take(): Http1Head {
    return this.#free.pop() ?? new Http1Head();
  }

  give(head: Http1Head): void {
    if (this.#free.length < this.#limit) this.#free.push(head);
  }
}
