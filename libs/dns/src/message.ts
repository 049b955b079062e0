/** Record types this proxy answers itself. @see RFC 1035 §3.2.2, RFC 3596 */
export const RecordType = { a: 1, cname: 5, aaaa: 28, opt: 41, any: 255 } as const;
const CLASS_IN = 1;

/** Response codes. @see RFC 1035 §4.1.1, RFC 6891 §9 */
export const ResponseCode = {
  ok: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  badVersion: 16,
} as const;
export type ResponseCode = (typeof ResponseCode)[keyof typeof ResponseCode];

const HEADER_BYTES = 12;
/** What a client without EDNS takes in a datagram. */
const CLASSIC_BYTES = 512;
/** More is never sent in a datagram: larger ones get lost in pieces. */
const MOST_DATAGRAM_BYTES = 1232;
const MAX_NAME_BYTES = 255;
const MAX_LABELS = 128;

/** A question as far as it concerns us. */
export interface Query {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** Lower case, without a final dot. */
  readonly name: string;
  readonly type: number;
  readonly isInternet: boolean;
  /** Name, type and class as they came: an answer repeats them byte by byte. */
  readonly question: Buffer;
  readonly edns: { readonly payload: number; readonly version: number } | undefined;
}

export type ParsedQuery =
  | { readonly kind: "query"; readonly query: Query }
  /** Answered with the code, and without more of the message. */
  | { readonly kind: "refused"; readonly id: number; readonly code: ResponseCode }
  /** No DNS query at all; whoever sent it gets nothing. */
  | { readonly kind: "nonsense" };

/** Reads a query. Never throws, whatever the bytes are. */
export function parseQuery(bytes: Buffer): ParsedQuery {
  if (bytes.length < HEADER_BYTES) return { kind: "nonsense" };
  const id = bytes.readUInt16BE(0);
  const flags = bytes.readUInt16BE(2);
  // An answer is never answered: two servers would talk for ever.
  if ((flags & 0x8000) !== 0) return { kind: "nonsense" };
  const refused = (code: ResponseCode): ParsedQuery => ({ kind: "refused", id, code });
  if (((flags >> 11) & 0xf) !== 0) return refused(ResponseCode.notImplemented);
  if (bytes.readUInt16BE(4) !== 1 || bytes.readUInt16BE(6) !== 0) return refused(ResponseCode.formatError);
  const name = readName(bytes, HEADER_BYTES);
  if (name === undefined || name.end + 4 > bytes.length) return refused(ResponseCode.formatError);
  const end = name.end + 4;
  const additional = bytes.readUInt16BE(10);
  const edns = additional === 0 ? undefined : findEdns(bytes, end, additional + bytes.readUInt16BE(8));
  if (edns === "bad") return refused(ResponseCode.formatError);
  return {
    kind: "query",
    query: {
      id,
      recursionDesired: (flags & 0x0100) !== 0,
      name: name.text,
      type: bytes.readUInt16BE(name.end),
      isInternet: bytes.readUInt16BE(name.end + 2) === CLASS_IN,
      question: Buffer.from(bytes.subarray(HEADER_BYTES, end)),
      edns,
    },
  };
}

/** A name without compression, which a question has no use for. Bytes that are no printable text are refused. */
function readName(bytes: Buffer, start: number): { readonly text: string; readonly end: number } | undefined {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > 63 || at - start > MAX_NAME_BYTES || labels.length > MAX_LABELS)
      return undefined;
    at++;
    if (length === 0) return { text: labels.join(".").toLowerCase(), end: at };
    if (at + length > bytes.length) return undefined;
    const label = bytes.toString("latin1", at, at + length);
    if (!/^[\x21-\x2d\x2f-\x7e]+$/.test(label)) return undefined;
    labels.push(label);
    at += length;
  }
}

/** The OPT record among those after the question. Others are stepped over. */
function findEdns(bytes: Buffer, start: number, records: number): Query["edns"] | "bad" {
  let at = start;
  let found: Query["edns"];
  for (let i = 0; i < records && i < 8; i++) {
    const name = skipName(bytes, at);
    if (name === undefined || name + 10 > bytes.length) return "bad";
    const end = name + 10 + bytes.readUInt16BE(name + 8);
    if (end > bytes.length) return "bad";
    if (bytes.readUInt16BE(name) === RecordType.opt) {
      // One is allowed, and its name is the root. RFC 6891 §6.1.1
      if (found !== undefined || name !== at + 1) return "bad";
      found = { payload: bytes.readUInt16BE(name + 2), version: bytes[name + 5] ?? 0 };
    }
    at = end;
  }
  return found;
}

/** Past a name that may end in a pointer. */
function skipName(bytes: Buffer, start: number): number | undefined {
  let at = start;
  for (let labels = 0; labels <= MAX_LABELS; labels++) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > 63) return undefined;
    at += 1 + length;
  }
  return undefined;
}

/** How many bytes an answer to the query may have in a datagram. */
export function datagramLimit({ edns }: Query): number {
  if (edns === undefined) return CLASSIC_BYTES;
  return Math.min(MOST_DATAGRAM_BYTES, Math.max(CLASSIC_BYTES, edns.payload));
}

/** What is answered. */
export interface Answer {
  readonly code: ResponseCode;
  /** The name is an alias of this one, which the addresses belong to. */
  readonly alias?: string;
  /** Addresses of one family, as bytes. */
  readonly addresses: readonly Uint8Array[];
  /** Seconds. */
  readonly ttl: number;
}

/** The answer's message. With more than `limit` bytes it is cut to none and says so: the client asks again over TCP. */
export function encodeAnswer(query: Query, answer: Answer, limit: number): Buffer {
  const opt = query.edns === undefined ? Buffer.alloc(0) : optRecord(answer.code);
  const records = recordsOf(query, answer);
  const size = HEADER_BYTES + query.question.length + records.reduce((sum, one) => sum + one.length, 0) + opt.length;
  const truncated = size > limit;
  const kept = truncated ? [] : records;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(query.id, 0);
  const authoritative = 0x0400;
  header.writeUInt16BE(
    0x8000 |
      authoritative |
      (truncated ? 0x0200 : 0) |
      (query.recursionDesired ? 0x0100 : 0) |
      0x0080 |
      (answer.code & 0xf),
    2,
  );
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(kept.length, 6);
  header.writeUInt16BE(opt.length > 0 ? 1 : 0, 10);
  return Buffer.concat([header, query.question, ...kept, opt]);
}

/** A message that refuses what could not be read. */
export function encodeRefusal(id: number, code: ResponseCode): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(0x8000 | (code & 0xf), 2);
  return header;
}

function recordsOf(query: Query, { alias, addresses, ttl }: Answer): readonly Buffer[] {
  const owner = alias === undefined ? POINTER_TO_QUESTION : encodeName(alias);
  const cname = alias === undefined ? [] : [record(POINTER_TO_QUESTION, RecordType.cname, ttl, encodeName(alias))];
  const type = query.type === RecordType.aaaa ? RecordType.aaaa : RecordType.a;
  return [...cname, ...addresses.map((address) => record(owner, type, ttl, address))];
}

/** The name of the question, by its place in the message. */
const POINTER_TO_QUESTION = Buffer.from([0xc0, HEADER_BYTES]);

function record(owner: Uint8Array, type: number, ttl: number, data: Uint8Array): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(CLASS_IN, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, fixed, data]);
}

/** The higher bits of an extended code are in its time to live. */
function optRecord(code: ResponseCode): Buffer {
  const opt = Buffer.alloc(11);
  opt.writeUInt16BE(RecordType.opt, 1);
  opt.writeUInt16BE(MOST_DATAGRAM_BYTES, 3);
  opt[5] = code >> 4;
  return opt;
}

/** A name's wire form. */
export function encodeName(name: string): Buffer {
  const labels = name.split(".").map((label) => {
    const bytes = Buffer.from(label, "latin1");
    return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  });
  return Buffer.concat([...labels, Buffer.from([0])]);
}
