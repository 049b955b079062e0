/** What the first flight of a TLS client says in the clear. */
export interface ClientHello {
  /** SNI, lower case; empty when there is none. */
  readonly serverName: string;
  /** ALPN in the client's order. */
  readonly alpn: readonly string[];
}

/** `incomplete`: more bytes are needed; `not-tls`: this will never be a ClientHello. */
export type ClientHelloResult = ClientHello | "incomplete" | "not-tls";

/** Largest ClientHello that is looked into; Envoy's limit. */
export const MAX_CLIENT_HELLO_BYTES = 16 * 1024;

const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME_EXTENSION = 0;
const ALPN_EXTENSION = 16;

/**
 * Reads the ClientHello at the start of `bytes` without terminating TLS. It may be split over several records.
 * @see RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301
 */
export function parseClientHello(bytes: Uint8Array): ClientHelloResult {
  const [first, major] = bytes;
  if (first === undefined) return "incomplete";
  if (first !== HANDSHAKE_RECORD || (major !== undefined && major !== 3)) return "not-tls";
  const found = handshakeStart(bytes);
  if (found === "not-tls") return "not-tls";
  if (found.total > 0 && found.head >>> 24 !== CLIENT_HELLO) return "not-tls";
  if (found.total < 4) return "incomplete";
  const length = found.head & 0xff_ffff;
  if (length > MAX_CLIENT_HELLO_BYTES) return "not-tls";
  if (found.total < 4 + length) return "incomplete";
  const handshake = handshakeBytes(bytes, found.total);
  return parseBody(new Cursor(handshake, 4, 4 + length)) ?? "not-tls";
}

/** How many bytes of handshake the records hold so far, and the first four of them. Allocates nothing: a client may send byte by byte. */
function handshakeStart(bytes: Uint8Array): { readonly total: number; readonly head: number } | "not-tls" {
  let total = 0;
  let head = 0;
  for (let at = 0; at + 5 <= bytes.length; ) {
    if (bytes[at] !== HANDSHAKE_RECORD) break;
    const length = uint16(bytes, at + 3);
    if (length === 0 || length > MAX_CLIENT_HELLO_BYTES + 256) return "not-tls";
    const start = at + 5;
    const end = Math.min(bytes.length, start + length);
    for (let from = start; from < end && total + from - start < 4; from++) {
      head |= (bytes[from] as number) << (24 - 8 * (total + from - start));
    }
    total += end - start;
    at += 5 + length;
  }
  return { total, head };
}

/** The payloads of the handshake records, which hold `total` bytes. */
function handshakeBytes(bytes: Uint8Array, total: number): Uint8Array {
  const joined = new Uint8Array(total);
  let filled = 0;
  for (let at = 0; filled < total; ) {
    const length = uint16(bytes, at + 3);
    const part = bytes.subarray(at + 5, Math.min(bytes.length, at + 5 + length));
    joined.set(part, filled);
    filled += part.length;
    at += 5 + length;
  }
  return joined;
}

function parseBody(body: Cursor): ClientHello | undefined {
  body.skip(2 + 32);
  body.skip(body.uint8());
  body.skip(body.uint16());
  body.skip(body.uint8());
  let serverName = "";
  let alpn: readonly string[] = [];
  if (body.left > 0) {
    const extensions = body.slice(body.uint16());
    while (extensions.left > 0 && !extensions.broken) {
      const type = extensions.uint16();
      const content = extensions.slice(extensions.uint16());
      if (type === SERVER_NAME_EXTENSION) serverName = readServerName(content);
      else if (type === ALPN_EXTENSION) alpn = readAlpn(content);
      if (content.broken) return undefined;
    }
    if (extensions.broken) return undefined;
  }
  return body.broken ? undefined : { serverName, alpn };
}

function readServerName(content: Cursor): string {
  const list = content.slice(content.uint16());
  while (list.left > 0 && !list.broken) {
    const type = list.uint8();
    const name = list.slice(list.uint16());
    if (type === 0 && !name.broken) return name.text().toLowerCase();
  }
  content.broken ||= list.broken;
  return "";
}

function readAlpn(content: Cursor): readonly string[] {
  const list = content.slice(content.uint16());
  const names: string[] = [];
  while (list.left > 0 && !list.broken) names.push(list.slice(list.uint8()).text());
  content.broken ||= list.broken;
  return names;
}

/** Bounded reading; anything beyond the end marks it broken and reads as zero. */
class Cursor {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  broken = false;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  skip(count: number): number {
    const at = this.#at;
    if (count > this.left) {
      this.broken = true;
      this.#at = this.#end;
    } else this.#at += count;
    return at;
  }

  uint8(): number {
    const at = this.skip(1);
    return this.broken ? 0 : (this.#bytes[at] as number);
  }

  uint16(): number {
    const at = this.skip(2);
    return this.broken ? 0 : uint16(this.#bytes, at);
  }

  slice(length: number): Cursor {
    const at = this.skip(length);
    const cursor = new Cursor(this.#bytes, at, this.broken ? at : at + length);
    cursor.broken = this.broken;
    return cursor;
  }

  text(): string {
    return String.fromCharCode(...this.#bytes.subarray(this.#at, this.#end));
  }
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
