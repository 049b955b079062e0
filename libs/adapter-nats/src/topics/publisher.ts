import { messageOf } from "@lateen/kernel";
import type { StateDelta } from "@lateen/ports";
import type { NatsConnection } from "nats";
import { payloadTooSmall, tooLarge } from "../errors.ts";
import { cleanBucket, ensureBucket, isOutOfSequence, lookAtBucket, writeToBucket } from "../socket/bucket.ts";
import { Session } from "../socket/session.ts";
import { type BucketWrite, Writer } from "../state/writer.ts";
import { encodeBeat } from "../wire/head.ts";
import { encodeKey } from "../wire/keys.ts";
import type { TopicParts, ValueCodec } from "./parts.ts";

/** Most bytes of one message; servers take 1 MiB by default. */
const PART_BYTES = 256 * 1024;
/** Beside its bytes a message has a subject and headers. */
const OVERHEAD_BYTES = 4096;
const MOST_KEY_CHARACTERS = 1024;
const MOST_VALUE_BYTES = 64 * 1024 * 1024;
const MOST_IN_FLIGHT = 128;
const BEAT_MS = 1000;
/** A deletion lies in the bucket for at least that long, so that readers meet it. */
const DELETION_MS = 60_000;
const CLEANED_AT_ONCE = 20;

/** Keeps a bucket equal to what was published, for as long as there is nobody with a larger epoch. Publishing never waits for NATS. */
export class StatePublisher<T> {
  readonly #parts: TopicParts;
  readonly #codec: ValueCodec<T>;
  readonly #writer: Writer;
  #session: Session | undefined;
  #connection: NatsConnection | undefined;
  #generation = 0;
  #inFlight = 0;
  #checking = false;
  #told = "";
  #mark = { at: 0, last: 0, former: 0 };

  constructor(parts: TopicParts, codec: ValueCodec<T>, epoch: number) {
    this.#parts = parts;
    this.#codec = codec;
    this.#writer = new Writer({ epoch, partBytes: PART_BYTES });
  }

  /** What is published is in the bucket, confirmed by the server. */
  get settled(): boolean {
    return this.#writer.settled;
  }

  /** Another publisher has taken over. */
  get fenced(): boolean {
    return this.#writer.fenced;
  }

  get revision(): number | undefined {
    return this.#writer.version?.revision;
  }

  /** @throws LTN6207 when a value or key is too large; nothing is published then. */
  publish(delta: StateDelta<T>): void {
    const upserted = delta.upserted.map(({ key, value, revision }) => {
      const bytes = this.#codec.encode(key, value);
      if (bytes.length > MOST_VALUE_BYTES) throw tooLarge(`the value of ${key}`, bytes.length, MOST_VALUE_BYTES);
      const characters = encodeKey(key).length;
      if (characters > MOST_KEY_CHARACTERS) throw tooLarge(`the key ${key}`, characters, MOST_KEY_CHARACTERS);
      return { key, revision, value: bytes };
    });
    this.#writer.publish({ ...delta, upserted });
    if (this.#session === undefined) this.#start();
    else this.#pump();
  }

  #start(): void {
    const { link, bucket, size, scope, clock, random } = this.#parts;
    this.#session = new Session({
      link,
      bucket,
      clock,
      random,
      prepare: (connection) => {
        const limit = connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
        if (limit < PART_BYTES + OVERHEAD_BYTES) throw payloadTooSmall(limit, PART_BYTES + OVERHEAD_BYTES);
        return ensureBucket(connection, bucket, size);
      },
      opened: ({ created }, connection) => {
        this.#connection = connection;
        this.#writer.opened(created);
      },
      message: (message) => this.#writer.message(message),
      caughtUp: ({ last }) => {
        this.#session?.enough();
        this.#writer.caughtUp(last);
        if (this.#writer.fenced) this.#tell("nats.superseded", "a publisher with a larger fencing token leads");
        else this.#pump();
      },
      lost: (reason) => {
        this.#generation++;
        this.#inFlight = 0;
        this.#connection = undefined;
        this.#writer.lost();
        this.#tell("nats.not_published", reason);
      },
    });
    const stop = clock.every(BEAT_MS, () => void this.#check());
    scope.defer(() => {
      stop();
      this.#session?.close();
    });
  }

  #pump(): void {
    while (this.#connection !== undefined && this.#inFlight < MOST_IN_FLIGHT) {
      const write = this.#writer.next();
      if (write === undefined) return;
      this.#inFlight++;
      void this.#write(this.#connection, write, this.#generation);
    }
  }

  async #write(connection: NatsConnection, write: BucketWrite, generation: number): Promise<void> {
    try {
      const sequence = await writeToBucket(connection, this.#parts.bucket, write);
      if (generation !== this.#generation) return;
      if (sequence !== write.after + 1) return this.#session?.reopen(`a message became number ${sequence}`);
      this.#inFlight--;
      this.#writer.written();
      this.#pump();
      if (this.#writer.settled) this.#published();
    } catch (error) {
      if (generation !== this.#generation) return;
      this.#session?.reopen(isOutOfSequence(error) ? "something else was written to the bucket" : messageOf(error));
    }
  }

  #published(): void {
    this.#session?.succeeded();
    this.#beat();
    this.#tell("nats.published", undefined);
  }

  #beat(): void {
    const { version, fenced } = this.#writer;
    const { link, beatSubject } = this.#parts;
    if (version !== undefined && !fenced) link.connection?.publish(beatSubject, encodeBeat(version));
  }

  /** Every second: says that we live, and looks whether the bucket is still what it must be. */
  async #check(): Promise<void> {
    this.#beat();
    const connection = this.#connection;
    const generation = this.#generation;
    if (connection === undefined || this.#checking || !(this.#writer.settled || this.#writer.fenced)) return;
    this.#checking = true;
    try {
      const facts = await lookAtBucket(connection, this.#parts.bucket);
      if (generation !== this.#generation || this.#inFlight > 0) return;
      if (facts === undefined) this.#session?.reopen("the bucket is gone");
      else if (!this.#writer.agrees(facts)) this.#session?.reopen("the bucket is not what it was");
      else await this.#clean(connection);
    } catch (error) {
      if (generation === this.#generation) this.#session?.reopen(messageOf(error));
    } finally {
      this.#checking = false;
    }
  }

  async #clean(connection: NatsConnection): Promise<void> {
    const now = this.#parts.clock.monotonic();
    if (now - this.#mark.at >= DELETION_MS) this.#mark = { at: now, last: this.#writer.last, former: this.#mark.last };
    for (const deletion of this.#writer.oldDeletions(this.#mark.former, CLEANED_AT_ONCE)) {
      await cleanBucket(connection, this.#parts.bucket, deletion);
      this.#writer.cleaned(deletion.name);
    }
  }

  /** Once each time it becomes so. */
  #tell(event: string, reason: string | undefined): void {
    const { logger, name, scope } = this.#parts;
    const fields = {
      topic: name,
      revision: this.#writer.version?.revision,
      ...(reason === undefined ? {} : { reason }),
    };
    if (event === "nats.published") logger.debug({ event, ...fields });
    else if (this.#told !== event && !scope.closed) logger.warn({ event, ...fields });
    this.#told = event;
  }
}
