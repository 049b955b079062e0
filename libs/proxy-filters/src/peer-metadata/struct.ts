/**
 * The little of google.protobuf.Struct that workload metadata needs, written by hand so that the data path carries no protobuf
 * code: text values, and structs of them.
 */
export interface TextStruct {
  readonly [key: string]: string | TextStruct;
}

const FIELDS = 0x0a;
const KEY = 0x0a;
const VALUE = 0x12;
const STRING_VALUE = 0x1a;
const STRUCT_VALUE = 0x2a;
const MAX_DEPTH = 4;

export function encodeStruct(struct: TextStruct): Uint8Array {
  const entries = Object.entries(struct).map(([key, value]) => {
    const encoded =
      typeof value === "string" ? field(STRING_VALUE, Buffer.from(value)) : field(STRUCT_VALUE, encodeStruct(value));
    return field(FIELDS, Buffer.concat([field(KEY, Buffer.from(key)), field(VALUE, encoded)]));
  });
  return Buffer.concat(entries);
}

function field(tag: number, bytes: Uint8Array): Uint8Array {
  const head = [tag];
  let length = bytes.length;
  for (; length > 127; length >>>= 7) head.push((length & 127) | 128);
  head.push(length);
  return Buffer.concat([Uint8Array.from(head), bytes]);
}

/** Text and struct values of an encoded struct, others left out; undefined when the bytes are malformed or too deep. */
export function decodeStruct(bytes: Uint8Array, depth = 0): TextStruct | undefined {
  if (depth > MAX_DEPTH) return undefined;
  const out: Record<string, string | TextStruct> = Object.create(null) as Record<string, string | TextStruct>;
  const fields = readFields(bytes);
  if (fields === undefined) return undefined;
  for (const { tag, bytes: entry } of fields) {
    if (tag !== FIELDS) continue;
    const parts = readFields(entry);
    if (parts === undefined) return undefined;
    const key = text(parts.findLast((part) => part.tag === KEY)?.bytes);
    const value = readFields(parts.findLast((part) => part.tag === VALUE)?.bytes ?? NONE)?.at(-1);
    if (value?.tag === STRING_VALUE) out[key] = text(value.bytes);
    else if (value?.tag === STRUCT_VALUE) {
      const inner = decodeStruct(value.bytes, depth + 1);
      if (inner === undefined) return undefined;
      out[key] = inner;
    }
  }
  return out;
}

const NONE = new Uint8Array(0);

function text(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "" : Buffer.from(bytes).toString("utf8");
}

interface Field {
  readonly tag: number;
  readonly bytes: Uint8Array;
}

/** All fields of a message; those without a length (numbers) have no bytes. */
function readFields(bytes: Uint8Array): readonly Field[] | undefined {
  const fields: Field[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at++] ?? 0;
    // Field numbers above 15 do not occur in a struct.
    if (tag > 127) return undefined;
    const size = sizeOf(tag & 7, bytes, at);
    if (size === undefined || size.end > bytes.length) return undefined;
    fields.push({ tag, bytes: (tag & 7) === 2 ? bytes.subarray(size.start, size.end) : NONE });
    at = size.end;
  }
  return fields;
}

function sizeOf(wireType: number, bytes: Uint8Array, at: number): { start: number; end: number } | undefined {
  switch (wireType) {
    case 0: {
      const varint = readVarint(bytes, at);
      return varint === undefined ? undefined : { start: at, end: varint.end };
    }
    case 1:
      return { start: at, end: at + 8 };
    case 2: {
      const length = readVarint(bytes, at);
      return length === undefined ? undefined : { start: length.end, end: length.end + length.value };
    }
    case 5:
      return { start: at, end: at + 4 };
    default:
      return undefined;
  }
}

/** Values beyond 2^32 come out wrong but positive, which is enough to fail the bounds check. */
function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } | undefined {
  let value = 0;
  let scale = 1;
  for (let at = start; at < bytes.length && at < start + 10; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) return { value, end: at + 1 };
  }
  return undefined;
}
