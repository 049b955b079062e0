/** Format of what lies in the bucket; a reader of another one leaves it alone. */
const FORMAT = 1;
const PREFIX_BYTES = 13;

/** A value of keyed state as bytes. */
export interface StoredValue {
  readonly revision: number;
  readonly bytes: Uint8Array;
}

/**
 * Cuts a value into parts of at most `partBytes`, because a server refuses messages above its `max_payload`. The first part begins with the
 * format (1 byte), how many parts there are (4) and the entry's revision (8).
 */
export function toParts(value: StoredValue, partBytes: number): readonly Uint8Array[] {
  const first = Math.min(value.bytes.length, Math.max(1, partBytes - PREFIX_BYTES));
  const rest = Math.ceil((value.bytes.length - first) / partBytes);
  const head = Buffer.alloc(PREFIX_BYTES + first);
  head.writeUInt8(FORMAT, 0);
  head.writeUInt32BE(1 + rest, 1);
  head.writeDoubleBE(value.revision, 5);
  head.set(value.bytes.subarray(0, first), PREFIX_BYTES);
  const parts: Uint8Array[] = [head];
  for (let at = first; at < value.bytes.length; at += partBytes) parts.push(value.bytes.subarray(at, at + partBytes));
  return parts;
}

/** How many parts a value has, by its first one; undefined when that is not of this format. */
export function partCount(first: Uint8Array): number | undefined {
  const view = Buffer.from(first.buffer, first.byteOffset, first.byteLength);
  if (view.length < PREFIX_BYTES || view.readUInt8(0) !== FORMAT) return undefined;
  const count = view.readUInt32BE(1);
  return count >= 1 ? count : undefined;
}

/** Puts a value together; undefined when a part is missing or the format is another one. */
export function fromParts(part: (index: number) => Uint8Array | undefined): StoredValue | undefined {
  const first = part(0);
  const count = first === undefined ? undefined : partCount(first);
  if (first === undefined || count === undefined) return undefined;
  const pieces = [first.subarray(PREFIX_BYTES)];
  for (let index = 1; index < count; index++) {
    const piece = part(index);
    if (piece === undefined) return undefined;
    pieces.push(piece);
  }
  const revision = Buffer.from(first.buffer, first.byteOffset, first.byteLength).readDoubleBE(5);
  return { revision, bytes: pieces.length === 1 ? (pieces[0] ?? new Uint8Array()) : Buffer.concat(pieces) };
}
