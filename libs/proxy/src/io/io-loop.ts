import type { Clock } from "@lateen/kernel";
import { OutBuffer } from "./out-buffer.ts";
import { TimerWheel } from "./timer-wheel.ts";

/** Bytes one read may bring; what a body chunk is at most. */
export const READ_BYTES = 64 * 1024;
/** Size of the buffers that {@link IoLoop.takeBuffer} lends. */
export const FRAME_BUFFER_BYTES = 64 * 1024;
/** Scratch memory: larger than anything a codec may unfold at once. */
const SCRATCH_BYTES = 136 * 1024;
const MOST_FREE_BUFFERS = 16;

/** Somebody who gathers what it writes itself and sends it when the event is over. */
export interface Flushable {
  flush(): void;
}

/**
 * What all connections of one worker share: the buffer every read lands in, the buffer writes are gathered in, the timers.
 * Invariant: bytes in `readBuffer` are borrowed until the read callback returns; whoever needs them longer copies them.
 */
export class IoLoop {
  readonly readBuffer: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly out = new OutBuffer();
  readonly wheel: TimerWheel;
  /** Told of errors that nothing expected: the connection they came up on is closed, others go on. */
  onDefect: (error: unknown) => void = () => {};
  #depth = 0;
  #scratch: Buffer | undefined = undefined;
  readonly #buffers: Buffer[] = [];
  #dirty: Flushable[] = [];

  constructor(clock: Clock) {
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
    this.#depth++;
  }

  /** …and leaves here, which sends what was gathered: one write per destination and event. */
  leave(): void {
    this.#depth--;
    if (this.#depth === 0) this.#flush();
    else this.out.flush();
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

  /** A buffer to gather frames in. */
  takeBuffer(): Buffer {
    return this.#buffers.pop() ?? Buffer.allocUnsafeSlow(FRAME_BUFFER_BYTES);
  }

  /** Gives a buffer back that nobody points at any more. */
  giveBuffer(buffer: Buffer): void {
    if (this.#buffers.length < MOST_FREE_BUFFERS) this.#buffers.push(buffer);
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
