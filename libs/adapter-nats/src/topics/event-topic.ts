import { randomBytes } from "node:crypto";
import type { Clock, Logger, Scope } from "@lateen/kernel";
import type { EventTopic } from "@lateen/ports";
import type { NatsConnection } from "nats";
import type { Link } from "../socket/link.ts";
import { Gaps } from "../state/gaps.ts";
import type { ValueCodec } from "./parts.ts";

const PREFIX_BYTES = 14;
/** Events, and their bytes, that the server has not confirmed; further ones are dropped. */
const MOST_UNCONFIRMED = 4096;
const MOST_UNCONFIRMED_BYTES = 8 * 1024 * 1024;
const CONFIRM_MS = 100;

export interface EventTopicParts {
  readonly name: string;
  readonly subject: string;
  readonly link: Link;
  readonly scope: Scope;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Carries what arrives to the subscribers of this process, with a bound each. */
  readonly local: EventTopicSource;
}

/** Makes a topic within this process for each subscription. */
export type EventTopicSource = <T>(name: string) => EventTopic<T>;

/**
 * Lossy events over core NATS. Counted as dropped: what was emitted without a connection or beyond the bound, what the server had not
 * confirmed when a connection ended, what a subscriber of this process was too slow for, and — for subscribers without a group, which must
 * see all — numbers that are missing in what each emitter sent.
 */
export class NatsEventTopic<T> implements EventTopic<T> {
  readonly #parts: EventTopicParts;
  readonly #codec: ValueCodec<T>;
  readonly #emitter = randomBytes(6);
  /** Of every subscription that there is or was, with those that are free to be used again. */
  readonly #locals: EventTopic<T>[] = [];
  readonly #free: number[] = [];
  readonly #gaps = new Set<Gaps>();
  #number = 0;
  #emitted = 0;
  #received = 0;
  #dropped = 0;
  #unconfirmed = 0;
  #unconfirmedBytes = 0;
  #confirming = false;

  constructor(parts: EventTopicParts, codec: ValueCodec<T>) {
    this.#parts = parts;
    this.#codec = codec;
    let before: NatsConnection | undefined;
    parts.link.follow((connection) => {
      if (before !== undefined) this.#lostConnection();
      before = connection;
    });
    const stop = parts.clock.every(CONFIRM_MS, () => void this.#confirm());
    parts.scope.defer(stop);
  }

  get dropped(): number {
    let dropped = this.#dropped;
    for (const local of this.#locals) dropped += local.dropped;
    for (const gaps of this.#gaps) dropped += gaps.missing;
    return dropped;
  }

  /** Events handed to the server. */
  get emitted(): number {
    return this.#emitted;
  }

  /** Events that arrived for subscribers of this process. */
  get received(): number {
    return this.#received;
  }

  emit(event: T): void {
    const { connection } = this.#parts.link;
    const full = this.#unconfirmed >= MOST_UNCONFIRMED || this.#unconfirmedBytes >= MOST_UNCONFIRMED_BYTES;
    if (connection === undefined || full) {
      this.#dropped++;
      return;
    }
    const bytes = this.#codec.encode("", event);
    const message = Buffer.alloc(PREFIX_BYTES + bytes.length);
    this.#emitter.copy(message);
    message.writeDoubleBE(this.#number + 1, 6);
    message.set(bytes, PREFIX_BYTES);
    try {
      connection.publish(this.#parts.subject, message);
    } catch {
      // Too large for the server, or the connection is just ending.
      this.#dropped++;
      return;
    }
    this.#number++;
    this.#emitted++;
    this.#unconfirmed++;
    this.#unconfirmedBytes += message.length;
  }

  subscribe(scope: Scope, receive: (event: T) => void, group?: string): void {
    if (scope.signal.aborted) return;
    const place = this.#free.pop() ?? this.#locals.length;
    const local = this.#locals[place] ?? this.#parts.local<T>(`${this.#parts.name}@nats-${place}`);
    this.#locals[place] = local;
    const gaps = group === undefined ? new Gaps() : undefined;
    if (gaps !== undefined) this.#gaps.add(gaps);
    local.subscribe(scope, receive);
    let end: (() => void) | undefined;
    const unfollow = this.#parts.link.follow((connection) => {
      if (connection === undefined || scope.closed) return;
      const subscription = connection.subscribe(this.#parts.subject, {
        ...(group === undefined ? {} : { queue: group }),
        callback: (error, message) => {
          if (error === null && !scope.closed) this.#take(message.data, local, gaps);
        },
      });
      end = () => subscription.unsubscribe();
    });
    const forget = () => {
      unfollow();
      end?.();
      this.#free.push(place);
      if (gaps === undefined) return;
      this.#gaps.delete(gaps);
      this.#dropped += gaps.missing;
    };
    scope.signal.addEventListener("abort", forget, { once: true });
  }

  #take(data: Uint8Array, local: EventTopic<T>, gaps: Gaps | undefined): void {
    if (data.length < PREFIX_BYTES) return;
    const message = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    this.#received++;
    gaps?.take(message.toString("hex", 0, 6), message.readDoubleBE(6));
    const event = this.#codec.decode("", message.subarray(PREFIX_BYTES));
    if (event.ok) local.emit(event.value);
    else {
      this.#dropped++;
      this.#parts.logger.debug({ event: "nats.event_unreadable", topic: this.#parts.name, reason: event.error });
    }
  }

  /** The server answers a ping once it has taken everything before it. */
  async #confirm(): Promise<void> {
    const { connection } = this.#parts.link;
    if (connection === undefined || this.#confirming || this.#unconfirmed === 0) return;
    const [events, bytes] = [this.#unconfirmed, this.#unconfirmedBytes];
    this.#confirming = true;
    try {
      await connection.flush();
      if (connection !== this.#parts.link.connection) return;
      this.#unconfirmed -= events;
      this.#unconfirmedBytes -= bytes;
    } catch {
      // The connection ended; what was not confirmed is counted there.
    } finally {
      this.#confirming = false;
    }
  }

  #lostConnection(): void {
    this.#dropped += this.#unconfirmed;
    this.#unconfirmed = 0;
    this.#unconfirmedBytes = 0;
  }
}
