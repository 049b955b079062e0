import { describe, expect, it } from "vitest";
import { type BulkReader, BulkReads } from "./bulk-reads.ts";
import { SlabPool } from "./slab.ts";

const SHARED = new Uint8Array(1);

class Reader implements BulkReader {
  memory: Uint8Array = SHARED;
  told = 0;
  turns = 0;
  isDropped = false;
  readInto(memory: Uint8Array): void {
    this.memory = memory;
    this.told++;
  }
  dropped(): void {
    this.isDropped = true;
  }
}

function group(limit: number) {
  const pool = new SlabPool(16, limit, 2);
  const bulk = new BulkReads(pool, SHARED);
  const join = (): Reader => {
    const reader = new Reader();
    reader.memory = bulk.join(reader) ?? SHARED;
    return reader;
  };
  /** A write of one of them does not finish. */
  const stall = (): (() => void) => {
    const { slab } = bulk;
    slab?.pin();
    bulk.renew();
    return () => slab?.unpin();
  };
  return { pool, bulk, join, stall };
}

describe("memory that bodies are read into", () => {
  it("is one slab for all, and goes back when the last one leaves", () => {
    const { pool, bulk, join } = group(4);
    const readers = [join(), join(), join()];
    expect(new Set(readers.map(({ memory }) => memory)).size).toBe(1);
    expect(pool.made).toBe(1);
    for (const reader of readers) bulk.leave(reader);
    expect([bulk.slab, pool.take()?.area]).toEqual([undefined, readers[0]?.memory]);
  });

  it("is another one for all as soon as a write points at it", () => {
    const { bulk, join, stall } = group(4);
    const [a, b] = [join(), join()];
    const before = a.memory;
    stall();
    expect(a.memory).not.toBe(before);
    expect([a.memory, b.memory]).toEqual([bulk.slab?.area, bulk.slab?.area]);
  });

  it("is the shared buffer when there is no slab left, and nobody is in the group then", () => {
    const { bulk, join, stall } = group(2);
    const [a, b] = [join(), join()];
    stall();
    const over = stall();
    expect([a, b].map(({ memory, isDropped }) => [memory === SHARED, isDropped])).toEqual([
      [true, true],
      [true, true],
    ]);
    expect(bulk.slab).toBeUndefined();
    over();
    expect(join().memory).not.toBe(SHARED);
  });

  it("changes for one reader only so often", () => {
    const { join, stall } = group(1000);
    const patient = join();
    for (let i = 0; i < 600; i++) stall()();
    expect([patient.told, patient.memory === SHARED, patient.isDropped]).toEqual([512, true, true]);
  });

  it("is not for more than 64 at a time", () => {
    const { bulk, join } = group(4);
    const readers = Array.from({ length: 65 }, join);
    expect(readers.map(({ memory }) => memory === SHARED).indexOf(true)).toBe(64);
    bulk.leave(readers[0] as Reader);
    expect(join().memory).not.toBe(SHARED);
  });
});
