/** Bytes of one chunk; no line is longer. */
export const CHUNK_BYTES = 256 * 1024;
const CHUNKS = 64;
const FLAG_BYTES = CHUNKS * 4;
/** Bytes of the memory that a worker and the agent thread share. Only what was ever written to is really there. */
export const LOG_MEMORY_BYTES = FLAG_BYTES + CHUNKS * CHUNK_BYTES;

const FREE = 0;
const TAKEN = 1;

/**
 * Memory in which access-log lines go from a worker to the agent thread without being copied or allocated: the worker takes a chunk and
 * fills it, the agent gives it back once it is written. When none is free, lines are dropped.
 */
export class LogChunks {
  readonly #flags: Int32Array;
  readonly #memory: SharedArrayBuffer;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(LOG_MEMORY_BYTES)) {
    this.#memory = memory;
    this.#flags = new Int32Array(memory, 0, CHUNKS);
  }

  /** The number of a chunk that is now the caller's, or -1. The lowest free one, so that little memory is touched. */
  take(): number {
    for (let i = 0; i < CHUNKS; i++) if (Atomics.compareExchange(this.#flags, i, FREE, TAKEN) === FREE) return i;
    return -1;
  }

  giveBack(chunk: number): void {
    Atomics.store(this.#flags, chunk, FREE);
  }

  /** The bytes of a chunk, or the first `length` of them. */
  bytes(chunk: number, length: number = CHUNK_BYTES): Buffer {
    return Buffer.from(this.#memory, FLAG_BYTES + chunk * CHUNK_BYTES, length);
  }
}
