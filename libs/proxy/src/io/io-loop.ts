import type { Clock } from "@lateen/kernel";
import { type IoBackend, PORTABLE } from "./backend.ts";
import { OutBuffer } from "./out-buffer.ts";
import { type Slab, SlabPool } from "./slab.ts";
import { TimerWheel } from "./timer-wheel.ts";

/** Bytes one read into the shared buffer may bring: a body of 64 KB with its head. What a client that does not read makes us keep. */
export const READ_BYTES = 80 * 1024;
/** Bytes one read into a slab of its own may bring; what a body chunk is at most. */
export const SLAB_READ_BYTES = 256 * 1024;
/** Bytes in front of a read slab, for what has to leave before the bytes that were read. */
export const ROOM_BYTES = 2 * 1024;
/** Connections that may read into memory of their own at a time, while bodies flow; others go on with the shared buffer. */
const READ_SLABS = 64;
const FREE_READ_SLABS = 8;
/** Size of {@link IoLoop.frameSlabs}. */
export const FRAME_BUFFER_BYTES = 64 * 1024;
/** Scratch memory: larger than anything a codec may unfold at once. */
const SCRATCH_BYTES = 136 * 1024;
const FREE_FRAME_SLABS = 16;

/** Somebody who gathers what it writes itself and sends it when the event is over. */
export interface Flushable {
  flush(): void;
}

/**
 * What all connections of one worker share: the buffer every read lands in, the buffer writes are gathered in, the timers.
 * Invariant: bytes in `readBuffer` are borrowed until the read callback returns; whoever needs them longer copies them.
 */
export class IoLoop {
  readonly backend: IoBackend;
  readonly readBuffer: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly out = new OutBuffer();
  readonly wheel: TimerWheel;
  /** Memory of their own for connections that move bodies: it may be written from without a copy. */
  readonly readSlabs = new SlabPool(SLAB_READ_BYTES, READ_SLABS, FREE_READ_SLABS, ROOM_BYTES);
  /** Memory to gather frames in. */
  readonly frameSlabs = new SlabPool(FRAME_BUFFER_BYTES, Number.POSITIVE_INFINITY, FREE_FRAME_SLABS);
  /** The slab that the bytes being handled now lie in, unless they lie in the shared buffer. */
  lent: Slab | undefined = undefined;
  /** Told of errors that nothing expected: the connection they came up on is closed, others go on. */
  onDefect: (error: unknown) => void = () => {};
  #depth = 0;
  #scratch: Buffer | undefined = undefined;
  #dirty: Flushable[] = [];

  /** @param backend how bytes are read and written; default: the public API of node's sockets. */
  constructor(clock: Clock, backend: IoBackend = PORTABLE) {
    this.backend = backend;
    this.wheel = new TimerWheel(
      clock,
      () => this.#flush(),
      (error) => this.onDefect(error),
    );
    this.out.onFirstByteOutsideCallback = () => {
      if (this.#depth === 0) queueMicrotask(() => this.out.flush());
    };
  }

  /** Every event from the outside enters here… */
  enter(): void {
    if (this.#depth++ === 0) this.wheel.hold();
  }

  /** …and leaves here, which sends what was gathered: one write per destination and event. */
  leave(): void {
    this.#depth--;
    if (this.#depth > 0) {
      this.out.flush();
      return;
    }
    this.wheel.letGo();
    this.#flush();
  }

  /** Memory for what is used up before the caller returns. */
  get scratch(): Buffer {
    this.#scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    return this.#scratch;
  }

  /** `writer.flush()` is called once when the present event is over. */
  flushLater(writer: Flushable): void {
    this.#dirty.push(writer);
    if (this.#depth === 0 && this.#dirty.length === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.out.flush();
    while (this.#dirty.length > 0) {
      const dirty = this.#dirty;
      this.#dirty = [];
      for (const writer of dirty) {
        try {
          writer.flush();
        } catch (error) {
          this.onDefect(error);
        }
      }
    }
  }
}
