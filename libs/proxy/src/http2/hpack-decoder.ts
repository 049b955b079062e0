import { Field } from "./field.ts";
import { decodeHuffman } from "./huffman.ts";
import { STATIC_TABLE } from "./static-table.ts";

/** Receives the fields of one block in order. The field is borrowed: valid until the call returns. */
export interface FieldSink {
  field(field: Field): void;
}

/** Table size that both sides start with, and the most we ever allow (RFC 7541 §4.2, SETTINGS_HEADER_TABLE_SIZE). */
export const HEADER_TABLE_BYTES = 4096;
/** Longest encoded block; scratch memory holds the longest string that can come out of it. */
export const MAX_BLOCK_BYTES = 64 * 1024;
export const SCRATCH_BYTES = MAX_BLOCK_BYTES * 2 + 1024;

const STATIC_COUNT = STATIC_TABLE.length;
/** An entry counts 32 bytes and what it holds (RFC 7541 §4.1). */
const MOST_ENTRIES = HEADER_TABLE_BYTES / 32;
const GONE = new Field(new Uint8Array(0));
/** Memory of an entry that is used again for the next one: most lines have room in it. */
const SPARE_BYTES = 128;
/** Entries that are kept for that. */
const MOST_SPARE = 16;

/**
 * HPACK decoder of one direction of one connection. Its table never grows beyond {@link HEADER_TABLE_BYTES}; a block that breaks a
 * rule of the coding leaves it unusable (COMPRESSION_ERROR).
 * @see RFC 7541
 */
export class HpackDecoder {
  /** The table, a ring: entry number `n` of all that ever came is at `n % MOST_ENTRIES`. */
  readonly #entries = new Array<Field>(MOST_ENTRIES).fill(GONE);
  /** Entries that ever came, and those of them that are gone. */
  #added = 0;
  #evicted = 0;
  #size = 0;
  #limit = HEADER_TABLE_BYTES;
  readonly #scratch: Field;
  #at = 0;
  /** Of entries that were evicted. Senders that put every response's fields into the table would have us make new ones all the time. */
  readonly #spare: Field[] = [];

  /** @param scratch {@link SCRATCH_BYTES} that nobody else uses while a block is decoded. */
  constructor(scratch: Uint8Array) {
    this.#scratch = new Field(scratch);
  }

  /** Bytes of the dynamic table as HPACK counts them. */
  get tableSize(): number {
    return this.#size;
  }

  get tableCount(): number {
    return this.#added - this.#evicted;
  }

  /** Decodes a whole block; false: COMPRESSION_ERROR. */
  decode(bytes: Uint8Array, start: number, end: number, sink: FieldSink): boolean {
    let fields = 0;
    this.#at = start;
    while (this.#at < end) {
      const byte = bytes[this.#at] as number;
      if (byte >= 128) {
        const field = this.#entry(this.#integer(bytes, end, 127));
        if (field === undefined) return false;
        sink.field(field);
      } else if (byte >= 64) {
        if (!this.#literal(bytes, end, 63)) return false;
        this.#scratch.never = false;
        sink.field(this.#scratch);
        this.#add();
      } else if (byte >= 32) {
        // A size update may only open a block (RFC 7541 §4.2).
        const limit = this.#integer(bytes, end, 31);
        if (fields > 0 || limit < 0 || limit > HEADER_TABLE_BYTES) return false;
        this.#limit = limit;
        this.#evictTo(limit);
        continue;
      } else {
        if (!this.#literal(bytes, end, 15)) return false;
        this.#scratch.never = byte >= 16;
        sink.field(this.#scratch);
      }
      fields++;
    }
    return true;
  }

  /** An integer with a prefix of the bits in `mask`, at most 2^28; -1 when it is larger or cut off. */
  #integer(bytes: Uint8Array, end: number, mask: number): number {
    let value = (bytes[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= end) return -1;
      const byte = bytes[this.#at++] as number;
      value += (byte & 127) << shift;
      if (byte < 128) return value;
    }
    return -1;
  }

  #entry(index: number): Field | undefined {
    if (index <= 0) return undefined;
    if (index <= STATIC_COUNT) return STATIC_TABLE[index - 1];
    const number = this.#added - (index - STATIC_COUNT);
    return number < this.#evicted ? undefined : this.#entries[number % MOST_ENTRIES];
  }

  /** Reads a literal into the scratch field. */
  #literal(bytes: Uint8Array, end: number, mask: number): boolean {
    const { line } = this.#scratch;
    const index = this.#integer(bytes, end, mask);
    if (index < 0) return false;
    let nameEnd: number;
    let named: Field | undefined;
    if (index === 0) nameEnd = this.#string(bytes, end, 0);
    else {
      named = this.#entry(index);
      if (named === undefined) return false;
      nameEnd = named.nameEnd;
      for (let i = 0; i < nameEnd; i++) line[i] = named.line[i] as number;
    }
    if (nameEnd < 0) return false;
    const valueEnd = this.#string(bytes, end, nameEnd + 2);
    if (valueEnd < 0) return false;
    this.#scratch.finish(nameEnd, valueEnd, named);
    return true;
  }

  /** Reads a string to `to` of the scratch line; answers its end, or -1. */
  #string(bytes: Uint8Array, end: number, to: number): number {
    if (this.#at >= end) return -1;
    const coded = (bytes[this.#at] as number) >= 128;
    const length = this.#integer(bytes, end, 127);
    const start = this.#at;
    if (length < 0 || length > end - start) return -1;
    this.#at += length;
    const { line } = this.#scratch;
    if (coded) return decodeHuffman(bytes, start, this.#at, line, to);
    if (length < 48) for (let i = 0; i < length; i++) line[to + i] = bytes[start + i] as number;
    else line.set(bytes.subarray(start, this.#at), to);
    return to + length;
  }

  #add(): void {
    const { size } = this.#scratch;
    if (size > this.#limit) {
      // Too large for the table: it empties it, which is no error (RFC 7541 §4.4).
      this.#evictTo(0);
      return;
    }
    this.#evictTo(this.#limit - size);
    this.#size += size;
    this.#entries[this.#added++ % MOST_ENTRIES] = this.#kept();
  }

  /** A copy of the scratch field in memory of its own. */
  #kept(): Field {
    const { end } = this.#scratch;
    const spare = end + 2 > SPARE_BYTES ? undefined : (this.#spare.pop() ?? new Field(new Uint8Array(SPARE_BYTES)));
    const field = spare ?? new Field(new Uint8Array(end + 2));
    field.copyFrom(this.#scratch);
    return field;
  }

  /** Takes the oldest entries out until no more than `size` is left. */
  #evictTo(size: number): void {
    while (this.#size > size && this.#evicted < this.#added) {
      const at = this.#evicted++ % MOST_ENTRIES;
      const field = this.#entries[at] as Field;
      this.#entries[at] = GONE;
      this.#size -= field.size;
      if (field.line.length === SPARE_BYTES && this.#spare.length < MOST_SPARE) this.#spare.push(field);
    }
  }
}
