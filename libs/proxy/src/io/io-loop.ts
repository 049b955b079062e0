import type { Clock } from "@lateen/kernel";
import { OutBuffer } from "./out-buffer.ts";
import { TimerWheel } from "./timer-wheel.ts";

/** Bytes one read may bring; what a body chunk is at most. */
export const READ_BYTES = 64 * 1024;

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

  constructor(clock: Clock) {
    this.wheel = new TimerWheel(
      clock,
      () => this.out.flush(),
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
    this.out.flush();
  }
}
