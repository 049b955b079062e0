/** Messages over TCP, each after its length in two bytes. @see RFC 1035 §4.2.2 */
export class FrameSplitter {
  readonly #limit: number;
  readonly #onMessage: (message: Buffer) => void;
  #held = Buffer.alloc(0);

  /** @param limit of one message, bytes. */
  constructor(limit: number, onMessage: (message: Buffer) => void) {
    this.#limit = limit;
    this.#onMessage = onMessage;
  }

  /** False when a message is empty or too long: the stream is of no use any more. Holds one message at most. */
  push(bytes: Buffer): boolean {
    this.#held = this.#held.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#held, bytes]);
    while (this.#held.length >= 2) {
      const length = this.#held.readUInt16BE(0);
      if (length === 0 || length > this.#limit) return false;
      if (this.#held.length < 2 + length) return true;
      const message = this.#held.subarray(2, 2 + length);
      this.#held = this.#held.subarray(2 + length);
      this.#onMessage(message);
    }
    return true;
  }
}

/** A message with its length before it. */
export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length, 0);
  return Buffer.concat([length, message]);
}
