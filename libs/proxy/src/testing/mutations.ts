import { type Random, randomInt, seededRandom } from "@lateen/kernel";

/** Inputs of each codec: all of them with `LATEEN_TEST_FULL`, a sample otherwise. */
export const MUTATIONS = process.env.LATEEN_TEST_FULL ? 10_000 : 600;
/** No input may keep a codec busy for longer, in milliseconds. */
export const HANG_MS = 1000;

const SPECIAL = [0, 1, 9, 10, 13, 32, 34, 35, 44, 47, 58, 59, 61, 0x7f, 0x80, 0xfe, 0xff];

/** One to six random edits: bits, bytes that mean something, lengths, repetition, loss, and parts of other samples. */
function mutate(sample: Buffer, others: readonly Buffer[], random: Random): Buffer {
  let bytes: Buffer = Buffer.from(sample);
  for (let edits = 1 + randomInt(random, 6); edits > 0; edits--) {
    const at = randomInt(random, bytes.length + 1);
    const size = 1 + randomInt(random, 16);
    switch (randomInt(random, 8)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << randomInt(random, 8));
        break;
      case 1:
        if (at < bytes.length) bytes[at] = SPECIAL[randomInt(random, SPECIAL.length)] as number;
        break;
      case 2:
        bytes = splice(bytes, at, 0, Buffer.from([SPECIAL[randomInt(random, SPECIAL.length)] as number]));
        break;
      case 3:
        bytes = splice(bytes, at, size, Buffer.alloc(0));
        break;
      case 4:
        bytes = splice(bytes, at, 0, bytes.subarray(at, at + size));
        break;
      case 5:
        bytes = splice(bytes, at, size, Buffer.from(Array.from({ length: size }, () => randomInt(random, 256))));
        break;
      case 6: {
        const other = others[randomInt(random, others.length)] ?? sample;
        bytes = splice(bytes, at, size, other.subarray(randomInt(random, other.length), other.length));
        break;
      }
      case 7:
        bytes = bytes.subarray(0, at);
        break;
    }
  }
  return bytes;
}

function splice(bytes: Buffer, at: number, remove: number, insert: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
}

/** `count` mutations of the samples, the same ones for the same seed. */
export function* mutations(samples: readonly Buffer[], seed: number, count = MUTATIONS): Generator<Buffer> {
  const random = seededRandom(seed);
  for (let index = 0; index < count; index++) {
    yield mutate(samples[index % samples.length] as Buffer, samples, random);
  }
}

/**
 * Runs a codec over mutations of sound inputs.
 * @returns what went wrong: exceptions, and inputs that took longer than {@link HANG_MS}.
 */
export function survive(samples: readonly Buffer[], seed: number, codec: (input: Buffer) => void): readonly string[] {
  const wrong: string[] = [];
  for (const input of mutations(samples, seed)) {
    const start = performance.now();
    try {
      codec(input);
    } catch (error) {
      wrong.push(`${input.toString("base64")}: ${error instanceof Error ? error.stack : error}`);
    }
    const took = performance.now() - start;
    if (took > HANG_MS) wrong.push(`${input.toString("base64")}: ${took} ms`);
  }
  return wrong.slice(0, 5);
}
