import { type CancelTimer, type Clock, type Logger, messageOf } from "@lateen/kernel";
import type { Resource, ResourceKey } from "@lateen/mesh-model";
import type { ConfigWriter } from "@lateen/ports";

/** After a write that failed. */
const RETRY_MS = 2000;
/** Objects in one write. */
const BATCH = 200;

/**
 * Brings objects where configuration is kept, one batch after the other. What changes meanwhile is merged by key, so what waits is
 * bounded by the number of objects; what could not be written is tried again.
 */
export class EntryWriter {
  readonly #writer: ConfigWriter;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #wanted = new Map<ResourceKey, Resource | undefined>();
  #busy = false;
  #retry: CancelTimer | undefined;
  #closed = false;

  constructor(writer: ConfigWriter, clock: Clock, logger: Logger) {
    this.#writer = writer;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** What the object is to become, `undefined`: it is to be removed; absent: nothing waits. */
  get(key: ResourceKey): { readonly object: Resource | undefined } | undefined {
    return this.#wanted.has(key) ? { object: this.#wanted.get(key) } : undefined;
  }

  /** The object is to be as given, or removed. */
  put(key: ResourceKey, object: Resource | undefined): void {
    this.#wanted.set(key, object);
    if (this.#retry === undefined) void this.#run();
  }

  /** Nothing is written any more. */
  close(): void {
    this.#closed = true;
    this.#retry?.();
  }

  async #run(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    // What is said within one turn is one write.
    await Promise.resolve();
    let written = true;
    while (!this.#closed && written && this.#wanted.size > 0) written = await this.#next();
    this.#busy = false;
    if (written || this.#closed) return;
    this.#retry = this.#clock.after(RETRY_MS, () => {
      this.#retry = undefined;
      void this.#run();
    });
  }

  /** Writes a batch; after a failure each of its objects alone, so that one that is refused holds up no other. */
  async #next(): Promise<boolean> {
    const batch = [...this.#wanted].slice(0, BATCH);
    if (await this.#write(batch)) return true;
    if (batch.length === 1) return false;
    let any = false;
    for (const entry of batch) any = (await this.#write([entry])) || any;
    return any;
  }

  async #write(batch: readonly (readonly [ResourceKey, Resource | undefined])[]): Promise<boolean> {
    const upserted = batch.flatMap(([, object]) => (object === undefined ? [] : [object]));
    const removed = batch.flatMap(([key, object]) => (object === undefined ? [key] : []));
    try {
      await this.#writer.write({ upserted, removed });
    } catch (error) {
      const keys = batch.map(([key]) => key).slice(0, 10);
      this.#logger.warn({ event: "registration.not_written", keys, reason: messageOf(error) });
      return false;
    }
    for (const [key, object] of batch) {
      if (this.#wanted.has(key) && this.#wanted.get(key) === object) this.#wanted.delete(key);
    }
    return true;
  }
}
