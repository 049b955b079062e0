import { crc32 } from "node:zlib";

/**
 * A record: magic, payload length, sequence, CRC-32 of the payload, CRC-32 of these four fields (little endian), payload. The
 * header has a checksum of its own so that a damaged length is told apart from a write that was cut short.
 */
const MAGIC = 0x314a544c; // "LTJ1"
export const HEADER_BYTES = 20;
/** A longer payload is refused when written and taken for damage when read. */
export const MAX_PAYLOAD_BYTES = 256 * 1024 * 1024;

export function encodeRecord(sequence: number, payload: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  record.writeUInt32LE(MAGIC, 0);
  record.writeUInt32LE(payload.length, 4);
  record.writeUInt32LE(sequence, 8);
  record.writeUInt32LE(crc32(payload), 12);
  record.writeUInt32LE(crc32(record.subarray(0, 16)), 16);
  record.set(payload, HEADER_BYTES);
  return record;
}

export interface ScannedJournal {
  readonly payloads: readonly Buffer[];
  /** Bytes from the start that hold whole records. */
  readonly validBytes: number;
  readonly end:
    | { readonly kind: "clean" }
    /** The last write was cut short; it was never acknowledged. */
    | { readonly kind: "torn"; readonly droppedBytes: number }
    /** Damage with readable records behind it: acknowledged data is affected. */
    | { readonly kind: "damaged"; readonly reason: string };
}

/** Reads a journal from its start to the first byte that is no whole record. Pure. */
export function scanJournal(journal: Buffer): ScannedJournal {
  const payloads: Buffer[] = [];
  let at = 0;
  while (at < journal.length) {
    const payload = readRecord(journal, at, payloads.length + 1);
    if (payload === undefined) return { payloads, validBytes: at, end: judgeEnd(journal, at, payloads.length + 1) };
    payloads.push(payload);
    at += HEADER_BYTES + payload.length;
  }
  return { payloads, validBytes: at, end: { kind: "clean" } };
}

function judgeEnd(journal: Buffer, at: number, expected: number): ScannedJournal["end"] {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(MAGIC, 0);
  for (let next = journal.indexOf(magic, at); next >= 0; next = journal.indexOf(magic, next + 1)) {
    if (!headerIsWhole(journal, next)) continue;
    const sequence = journal.readUInt32LE(next + 8);
    if (sequence < expected || readRecord(journal, next, sequence) === undefined) continue;
    const reason = next === at ? `record ${expected} is missing` : `record ${expected} does not match its checksum`;
    return { kind: "damaged", reason };
  }
  return { kind: "torn", droppedBytes: journal.length - at };
}

function headerIsWhole(journal: Buffer, at: number): boolean {
  if (at + HEADER_BYTES > journal.length || journal.readUInt32LE(at) !== MAGIC) return false;
  return journal.readUInt32LE(at + 16) === crc32(journal.subarray(at, at + 16));
}

function readRecord(journal: Buffer, at: number, sequence: number): Buffer | undefined {
  if (!headerIsWhole(journal, at) || journal.readUInt32LE(at + 8) !== sequence) return undefined;
  const length = journal.readUInt32LE(at + 4);
  const start = at + HEADER_BYTES;
  if (length > MAX_PAYLOAD_BYTES || start + length > journal.length) return undefined;
  const payload = journal.subarray(start, start + length);
  return crc32(payload) === journal.readUInt32LE(at + 12) ? payload : undefined;
}
