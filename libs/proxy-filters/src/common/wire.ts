/**
 * The little of protobuf's encoding that calls of the data path need, written by hand so that workers carry no protobuf library.
 * @see https://protobuf.dev/programming-guides/encoding/
 */
export class WireWriter {
  readonly #parts: Buffer[] = [];

  /** Left out when 0. */
  int(field: number, value: number | bigint): this {
    if (BigInt(value) !== 0n) this.#parts.push(varint(BigInt(field << 3)), varint(BigInt.asUintN(64, BigInt(value))));
    return this;
  }

  /** Written also when false. */
  flag(field: number, value: boolean): this {
    this.#parts.push(varint(BigInt(field << 3)), varint(value ? 1n : 0n));
    return this;
  }

  /** Left out when empty. */
  text(field: number, value: string): this {
    return value === "" ? this : this.bytes(field, Buffer.from(value, "utf8"));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(varint(BigInt((field << 3) | 2)), varint(BigInt(value.length)), Buffer.from(value));
    return this;
  }

  double(field: number, value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    this.#parts.push(varint(BigInt((field << 3) | 1)), bytes);
    return this;
  }

  /** A message, also an empty one. */
  message(field: number, write: (inner: WireWriter) => void): this {
    const inner = new WireWriter();
    write(inner);
    return this.bytes(field, inner.finish());
  }

  /** An entry of a map from text to text. */
  entry(field: number, key: string, value: string): this {
    return this.message(field, (inner) => inner.text(1, key).text(2, value));
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  bytes.push(Number(left));
  return Buffer.from(bytes);
}

/** One field of a message; `bytes` of the length-delimited ones, `value` of the others. */
export interface WireField {
  readonly number: number;
  readonly value: bigint;
  readonly bytes: Buffer;
}

/** @throws Error for bytes that are no message. */
export function readMessage(bytes: Buffer): readonly WireField[] {
  const fields: WireField[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    at = tag.next;
    const number = Number(tag.value >> 3n);
    switch (Number(tag.value & 7n)) {
      case 0: {
        const { value, next } = readVarint(bytes, at);
        fields.push({ number, value, bytes: NOTHING });
        at = next;
        break;
      }
      case 1:
        fields.push({ number, value: 0n, bytes: slice(bytes, at, at + 8) });
        at += 8;
        break;
      case 2: {
        const { value, next } = readVarint(bytes, at);
        at = next + Number(value);
        fields.push({ number, value: 0n, bytes: slice(bytes, next, at) });
        break;
      }
      case 5:
        fields.push({ number, value: 0n, bytes: slice(bytes, at, at + 4) });
        at += 4;
        break;
      default:
        throw new Error("malformed message");
    }
  }
  return fields;
}

const NOTHING = Buffer.alloc(0);

function slice(bytes: Buffer, start: number, end: number): Buffer {
  if (end > bytes.length) throw new Error("malformed message");
  return bytes.subarray(start, end);
}

function readVarint(bytes: Buffer, start: number): { readonly value: bigint; readonly next: number } {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) break;
    value |= BigInt(byte & 127) << BigInt(7 * i);
    if (byte < 128) return { value: BigInt.asUintN(64, value), next: start + i + 1 };
  }
  throw new Error("malformed message");
}

/** Text of a field that may be there several times; the last one counts. */
export function textOf(fields: readonly WireField[], number: number): string {
  return fields.findLast((field) => field.number === number)?.bytes.toString("utf8") ?? "";
}

/** A number that may be missing: 0. Signed 32 bits. */
export function intOf(fields: readonly WireField[], number: number): number {
  const value = fields.findLast((field) => field.number === number)?.value ?? 0n;
  return Number(BigInt.asIntN(32, value));
}

/** The message in a field; undefined when it is missing. */
export function messageOf(fields: readonly WireField[], number: number): readonly WireField[] | undefined {
  const found = fields.findLast((field) => field.number === number);
  return found === undefined ? undefined : readMessage(found.bytes);
}

/** Plain data as google.protobuf.Struct; what JSON cannot say is left out. */
export function writeStruct(writer: WireWriter, value: Readonly<Record<string, unknown>>): void {
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    writer.message(1, (entry) => entry.text(1, key).message(2, (out) => writeValue(out, inner)));
  }
}

function writeValue(out: WireWriter, value: unknown): void {
  if (typeof value === "string") out.bytes(3, Buffer.from(value, "utf8"));
  else if (typeof value === "number") out.double(2, value);
  else if (typeof value === "boolean") out.flag(4, value);
  else if (Array.isArray(value)) {
    out.message(6, (list) => {
      for (const entry of value) list.message(1, (inner) => writeValue(inner, entry));
    });
  } else if (typeof value === "object" && value !== null) {
    out.message(5, (struct) => writeStruct(struct, value as Readonly<Record<string, unknown>>));
  }
}

const MAX_DEPTH = 16;

/** @throws Error for bytes that are no struct, or too deep a one. */
export function readStruct(fields: readonly WireField[], depth = 0): Readonly<Record<string, unknown>> {
  if (depth > MAX_DEPTH) throw new Error("struct is too deep");
  const entries = fields.flatMap((field) => {
    if (field.number !== 1) return [];
    const entry = readMessage(field.bytes);
    return [[textOf(entry, 1), readValue(messageOf(entry, 2) ?? [], depth)] as const];
  });
  return Object.fromEntries(entries);
}

function readValue(fields: readonly WireField[], depth: number): unknown {
  const last = fields.at(-1);
  switch (last?.number) {
    case 2:
      return last.bytes.readDoubleLE();
    case 3:
      return last.bytes.toString("utf8");
    case 4:
      return last.value !== 0n;
    case 5:
      return readStruct(readMessage(last.bytes), depth + 1);
    case 6:
      if (depth > MAX_DEPTH) throw new Error("struct is too deep");
      return readMessage(last.bytes).map((entry) => readValue(readMessage(entry.bytes), depth + 1));
    default:
      return null;
  }
}
