import type { Slab, SlabPool } from "./slab.ts";

/** A connection that moves bodies. */
export interface BulkReader {
  /** How often it was told of another slab. */
  turns: number;
  /** Its next read lands here. */
  readInto(memory: Uint8Array): void;
  /** It is in the group no more. */
  dropped(): void;
}

/** Connections that may be in the group; each has to be told of a new slab. */
const MOST_READERS = 64;
/** How often one of them is told in its life: node keeps a little memory of every time until the connection ends. */
const MOST_TURNS = 512;

/**
 * Memory that the reads of connections that move bodies land in, and that may be written from without a copy. It is one slab for all
 * of them, so that it stays in the processor's caches; when a write that did not finish needs it, another one takes its place. That is rare:
 * who caused it reads into memory of its own for a while, each time for longer.
 */
export class BulkReads {
  readonly #pool: SlabPool;
  readonly #shared: Uint8Array;
  readonly #readers = new Set<BulkReader>();
  #slab: Slab | undefined = undefined;

  /** @param shared what reads land in that are not in the group. */
  constructor(pool: SlabPool, shared: Uint8Array) {
    this.#pool = pool;
    this.#shared = shared;
  }

  get slab(): Slab | undefined {
    return this.#slab;
  }

  /** Answers where the next read of the reader lands; undefined: there is no room for it. */
  join(reader: BulkReader): Uint8Array | undefined {
    if (this.#readers.size >= MOST_READERS || reader.turns >= MOST_TURNS) return undefined;
    this.#slab ??= this.#pool.take();
    if (this.#slab === undefined) return undefined;
    this.#readers.add(reader);
    return this.#slab.area;
  }

  leave(reader: BulkReader): void {
    if (!this.#readers.delete(reader) || this.#readers.size > 0) return;
    this.#slab?.release();
    this.#slab = undefined;
  }

  /** To be called after each read: nothing may land in a slab that a write points at. */
  renew(): void {
    const slab = this.#slab;
    if (slab === undefined || !slab.pinned) return;
    slab.release();
    this.#slab = this.#pool.take();
    for (const reader of [...this.#readers]) {
      if (this.#slab !== undefined && ++reader.turns < MOST_TURNS) reader.readInto(this.#slab.area);
      else {
        reader.readInto(this.#shared);
        reader.dropped();
        this.leave(reader);
      }
    }
  }
}
