import { type CancelTimer, type Clock, messageOf, type Random } from "@lateen/kernel";
import type { NatsConnection } from "nats";
import type { BucketMessage } from "../state/mirror.ts";
import type { BucketFacts } from "../state/writer.ts";
import { readBucket } from "./bucket.ts";
import type { Link } from "./link.ts";

export interface SessionParts {
  readonly link: Link;
  readonly bucket: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Looks at the bucket, or makes it; undefined when there is none to read. */
  readonly prepare: (connection: NatsConnection) => Promise<BucketFacts | undefined>;
  readonly opened: (facts: BucketFacts, connection: NatsConnection) => void;
  readonly message: (message: BucketMessage) => void;
  readonly caughtUp: (facts: BucketFacts) => void;
  readonly lost: (reason: string) => void;
}

const FIRST_WAIT_MS = 100;
const MOST_WAIT_MS = 2000;

/**
 * Readings of a bucket one after the other, as long as there is a connection. A reading that ends is followed by another one after a wait that
 * grows from 0.1 s to 2 s until one has caught up.
 */
export class Session {
  readonly #parts: SessionParts;
  #connection: NatsConnection | undefined;
  /** Grows with every attempt, so that what an earlier one still says is known as such. */
  #attempt = 0;
  #close: (() => void) | undefined;
  #cancelRetry: CancelTimer | undefined;
  #failures = 0;
  #closed = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    parts.link.follow((connection) => {
      this.#connection = connection;
      if (connection === undefined) this.#end("there is no connection");
      else if (!this.#closed) void this.#open(connection);
    });
  }

  /** Ends the reading, and begins another one after a while. */
  reopen(reason: string): void {
    const connection = this.#connection;
    this.#end(reason);
    if (connection === undefined || this.#closed) return;
    const bound = Math.min(MOST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#failures++, 10));
    const wait = bound * (0.5 + this.#parts.random.next() / 2);
    this.#cancelRetry = this.#parts.clock.after(wait, () => void this.#open(connection));
  }

  /** No more is read for now; what was read is known to be whole. */
  enough(): void {
    this.#close?.();
    this.#close = undefined;
  }

  /** What followed the reading worked as well. */
  succeeded(): void {
    this.#failures = 0;
  }

  close(): void {
    this.#closed = true;
    this.#end("it was closed");
  }

  #end(reason: string): void {
    this.#attempt++;
    this.#cancelRetry?.();
    this.#close?.();
    this.#close = undefined;
    this.#parts.lost(reason);
  }

  async #open(connection: NatsConnection): Promise<void> {
    const attempt = ++this.#attempt;
    const { bucket, clock, prepare, opened, message, caughtUp } = this.#parts;
    const now = () => attempt === this.#attempt;
    try {
      const facts = await prepare(connection);
      if (!now()) return;
      if (facts === undefined) return this.reopen("there is no bucket");
      opened(facts, connection);
      const close = await readBucket(connection, bucket, clock, {
        message: (one) => {
          if (now()) message(one);
        },
        caughtUp: () => {
          if (now()) caughtUp(facts);
        },
        ended: (reason) => {
          if (now()) this.reopen(reason);
        },
      });
      if (now()) this.#close = close;
      else close();
    } catch (error) {
      if (now()) this.reopen(messageOf(error));
    }
  }
}
