import type { BucketMessage } from "../state/mirror.ts";
import type { BucketFacts, BucketWrite } from "../state/writer.ts";

/** A bucket in memory, with everything that may become of a real one. */
export class ModelBucket {
  #messages = new Map<string, BucketMessage>();
  #last = 0;
  #incarnation = 1;

  get facts(): BucketFacts {
    return { created: String(this.#incarnation), last: this.#last, names: this.#messages.size };
  }

  /** @returns whether it was taken. */
  write({ name, bytes, after }: BucketWrite): boolean {
    if (after !== this.#last) return false;
    this.#put(name, bytes);
    return true;
  }

  /** Somebody writes who should not. */
  intrude(name: string, bytes: Uint8Array | undefined): void {
    this.#put(name, bytes);
  }

  /** The last message of each name, oldest first. */
  messages(): readonly BucketMessage[] {
    return [...this.#messages.values()].sort((a, b) => a.sequence - b.sequence);
  }

  backup(): () => void {
    const [messages, last, incarnation] = [new Map(this.#messages), this.#last, this.#incarnation];
    return () => {
      this.#messages = new Map(messages);
      this.#last = last;
      this.#incarnation = incarnation;
    };
  }

  wipe(): void {
    this.#messages.clear();
    this.#last = 0;
    this.#incarnation++;
  }

  /** Deletes everything, as an operator may; sequence numbers go on. */
  purge(): void {
    this.#messages.clear();
  }

  #put(name: string, bytes: Uint8Array | undefined): void {
    this.#messages.set(name, { sequence: ++this.#last, name, bytes });
  }
}
