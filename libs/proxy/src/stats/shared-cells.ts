import type { SharedCell } from "../chain/spi.ts";

/** Bytes of the memory that the workers of one proxy share: a key and a value of 8 bytes each. */
export const SHARED_CELL_BYTES = 16 * 4096;

/**
 * Numbers that all workers of a proxy see. A cell is found by what it stands for, so that workers which were given the same
 * configuration meet at the same cell without asking anybody. Cells are never given back: what they stand for is configuration.
 */
export class SharedCells {
  readonly #keys: BigInt64Array;
  readonly #values: BigInt64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(SHARED_CELL_BYTES)) {
    const count = Math.floor(memory.byteLength / 16);
    this.#keys = new BigInt64Array(memory, 0, count);
    this.#values = new BigInt64Array(memory, count * 8, count);
  }

  /** When all cells are taken, the answer is one of this worker alone. */
  find(identity: string): SharedCell {
    const key = keyOf(identity);
    const count = this.#keys.length;
    let at = Number(BigInt.asUintN(32, key) % BigInt(count));
    for (let i = 0; i < count; i++, at = (at + 1) % count) {
      const found = Atomics.compareExchange(this.#keys, at, 0n, key);
      if (found === 0n || found === key) return new Cell(this.#values, at);
    }
    return new Cell(new BigInt64Array(1), 0);
  }
}

class Cell implements SharedCell {
  readonly #values: BigInt64Array;
  readonly #at: number;

  constructor(values: BigInt64Array, at: number) {
    this.#values = values;
    this.#at = at;
  }

  load(): number {
    return Number(Atomics.load(this.#values, this.#at));
  }

  exchange(expected: number, next: number): number {
    return Number(Atomics.compareExchange(this.#values, this.#at, BigInt(expected), BigInt(next)));
  }
}

/** 64 bits of FNV-1a, never 0. */
function keyOf(identity: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(identity, "utf8")) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return BigInt.asIntN(64, hash === 0n ? 1n : hash);
}
