/** Comparisons over byte ranges; none allocates. Case folding is ASCII only, as HTTP's is. */

/** UTF-8 bytes of a configured text. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function lowerByte(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

/** Whether `value` stands at `at`; the caller has checked that it fits. */
export function hasAt(bytes: Uint8Array, at: number, value: Uint8Array): boolean {
  for (let i = 0; i < value.length; i++) if (bytes[at + i] !== value[i]) return false;
  return true;
}

/** As {@link hasAt}, ignoring case; `value` is lower case. */
export function hasAtIgnoringCase(bytes: Uint8Array, at: number, value: Uint8Array): boolean {
  for (let i = 0; i < value.length; i++) if (lowerByte(bytes[at + i] ?? 0) !== value[i]) return false;
  return true;
}

/** Bytes as text, one character a byte: what heads are read and edited as, so that no byte is lost. */
export function latin1Text(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end);
}

/** What `toString("latin1")` ends in: it takes any bytes, so that no view is made of them. */
const { latin1Slice } = Buffer.prototype as unknown as {
  readonly latin1Slice: (this: Uint8Array, start: number, end: number) => string;
};

/** A configured text as it stands in a head: its UTF-8 bytes, one character each. */
export function wireText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** Text of a byte range decoded as UTF-8; makes a string. */
export function utf8Text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8");
}

const FNV_OFFSET = 0x811c9dc5 | 0;
const FNV_PRIME = 16777619;

/** FNV-1a's state before the first byte. */
export const HASH_SEED = FNV_OFFSET;

/** One FNV-1a step. */
export function hashStep(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, FNV_PRIME);
}

/** A hash as a small integer, so that a Map keyed by it never boxes a number. */
export function smallHash(hash: number): number {
  return hash & 0x3fffffff;
}
