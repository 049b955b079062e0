import { constants, crc32, deflateRawSync } from "node:zlib";

/** Bytes that were compressed so that others can follow in the same gzip member. */
export interface Deflated {
  readonly bytes: Uint8Array;
  /** Of what was compressed. */
  readonly crc: number;
  readonly size: number;
}

/** RFC 1952 §2.3: deflate, no flags, no time, fastest, unknown system. */
const HEAD = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255);
/** Configuration repeats itself: more effort saves next to nothing. */
const LEVEL = 1;

/** Compresses the beginning of a message: whole bytes of deflate blocks, the last of which is not final (RFC 1951 §3.2.3). */
export function deflateStart(bytes: Uint8Array): Deflated {
  const deflated = deflateRawSync(bytes, { level: LEVEL, finishFlush: constants.Z_SYNC_FLUSH });
  return { bytes: deflated, crc: crc32(bytes), size: bytes.length };
}

/** A gzip member (RFC 1952) of a beginning that may be part of others as well, and the rest. Nothing of the beginning is copied. */
export function gzipOf(start: Deflated, rest: Uint8Array): readonly Uint8Array[] {
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(crc32(rest, start.crc), 0);
  tail.writeUInt32LE((start.size + rest.length) >>> 0, 4);
  return [HEAD, start.bytes, ...stored(rest), tail];
}

/** The most that a stored block holds. */
const STORED = 65_535;

/** The last blocks of a member, not compressed (RFC 1951 §3.2.4): for what is short, a compressor costs more than it saves. */
function stored(bytes: Uint8Array): readonly Uint8Array[] {
  const blocks: Uint8Array[] = [];
  for (let from = 0; from === 0 || from < bytes.length; from += STORED) {
    const block = bytes.subarray(from, from + STORED);
    const head = Buffer.alloc(5);
    head[0] = from + STORED >= bytes.length ? 1 : 0;
    head.writeUInt16LE(block.length, 1);
    head.writeUInt16LE(block.length ^ 0xffff, 3);
    blocks.push(head, block);
  }
  return blocks;
}
