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
const GONE = new Field(new Uint8Array(0));

/**
 * HPACK decoder of one direction of one connection. Its table never grows beyond {@link HEADER_TABLE_BYTES}; a block that breaks a
 * rule of the coding leaves it unusable (COMPRESSION_ERROR).
 * @see RFC 7541
 */
export class HpackDecoder {
  /** Newest last. */
  #entries: Field[] = [];
  /** Entries before this one are evicted. */
  #first = 0;
  #size = 0;
  #limit = HEADER_TABLE_BYTES;
  readonly #scratch: Field;
  #at = 0;

  /** @param scratch {@link SCRATCH_BYTES} that nobody else uses while a block is decoded. */
  constructor(scratch: Uint8Array) {
    this.#scratch = new Field(scratch);
  }

  /** Bytes of the dynamic table as HPACK counts them. */
  get tableSize(): number {
    return this.#size;
  }

  get tableCount(): number {
    return this.#entries.length - this.#first;
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
        this.#evict();
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
    const at = this.#entries.length - (index - STATIC_COUNT);
    return at < this.#first ? undefined : this.#entries[at];
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
      this.#entries = [];
      this.#first = 0;
      this.#size = 0;
      return;
    }
    this.#size += size;
    this.#evict();
    this.#entries.push(this.#scratch.keep());
  }

  #evict(): void {
    while (this.#size > this.#limit && this.#first < this.#entries.length) {
      this.#size -= (this.#entries[this.#first] as Field).size;
      // The memory goes now, the place in the array later.
      this.#entries[this.#first++] = GONE;
    }
    if (this.#first >= 64 && this.#first * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }
}
