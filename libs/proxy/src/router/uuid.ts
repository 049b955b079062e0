import { randomFillSync } from "node:crypto";
import { latin1Text } from "@lateen/traffic";

const POOL = 128;
const BYTES = 16;
const DIGITS = Buffer.from("0123456789abcdef");
const DASHES = new Set([8, 13, 18, 23]);
/** Where in the text the two digits of each byte stand. */
const PLACES = Array.from({ length: 36 }, (_, place) => place)
  .filter((place) => !DASHES.has(place))
  .filter((_, digit) => digit % 2 === 0);

/** Random UUIDs, each as one flat text, which those of node:crypto are not. @see RFC 9562 §5.4 */
export function uuidSource(fill: (bytes: Buffer) => void = randomFillSync): () => string {
  const pool = Buffer.allocUnsafeSlow(POOL * BYTES);
  const text = Buffer.alloc(36, "-");
  let used = pool.length;
  return () => {
    if (used === pool.length) {
      fill(pool);
      used = 0;
    }
    pool[used + 6] = ((pool[used + 6] as number) & 0x0f) | 0x40;
    pool[used + 8] = ((pool[used + 8] as number) & 0x3f) | 0x80;
    for (let i = 0; i < BYTES; i++) {
      const byte = pool[used + i] as number;
      const place = PLACES[i] as number;
      text[place] = DIGITS[byte >> 4] as number;
      text[place + 1] = DIGITS[byte & 15] as number;
    }
    used += BYTES;
    return latin1Text(text, 0, 36);
  };
}
