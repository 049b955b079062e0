import type { StateDelta } from "@lateen/ports";
import type { BucketMessage } from "../state/mirror.ts";
import { Replica, type ReplicaEffect } from "../state/replica.ts";
import { Writer } from "../state/writer.ts";
import { compareVersions, type Version } from "../wire/head.ts";
import type { ModelBucket } from "./model-bucket.ts";

/** A publisher on a bucket in memory; every step of it is asked for. */
export class ModelPublisher {
  readonly writer: Writer;
  readonly truth = new Map<string, string>();
  readonly #bucket: ModelBucket;

  constructor(bucket: ModelBucket, epoch: number) {
    this.#bucket = bucket;
    this.writer = new Writer({ epoch, partBytes: 32 });
  }

  publish(revision: number, changes: ReadonlyMap<string, string | undefined>): void {
    for (const [key, value] of changes) {
      if (value === undefined) this.truth.delete(key);
      else this.truth.set(key, value);
    }
    const upserted = [...changes].flatMap(([key, value]) =>
      value === undefined ? [] : [{ key, revision, value: Buffer.from(value) as Uint8Array }],
    );
    const removed = [...changes].flatMap(([key, value]) => (value === undefined ? [key] : []));
    this.writer.publish({ snapshot: false, revision, upserted, removed } satisfies StateDelta<Uint8Array>);
  }

  read(): void {
    const facts = this.#bucket.facts;
    this.writer.opened(facts.created);
    for (const message of this.#bucket.messages()) this.writer.message(message);
    this.writer.caughtUp(facts.last);
  }

  /** Writes up to `most` messages. @returns whether all were taken. */
  write(most: number): boolean {
    for (let written = 0; written < most; written++) {
      const write = this.writer.next();
      if (write === undefined) return true;
      if (!this.#bucket.write(write)) {
        this.writer.lost();
        return false;
      }
      this.writer.written();
    }
    return true;
  }

  /** What the real one does every second. */
  check(): void {
    if (!this.writer.agrees(this.#bucket.facts)) this.writer.lost();
  }

  /** Until the bucket is what was published, or somebody else leads. */
  settle(): void {
    if (this.writer.version === undefined) return;
    for (let round = 0; round < 10; round++) {
      this.check();
      if (this.writer.settled || this.writer.fenced) return;
      this.write(Number.POSITIVE_INFINITY);
      if (!this.writer.settled) this.read();
    }
    throw new Error("it does not settle");
  }
}

/** A reader on a bucket in memory, and what it was handed. */
export class ModelReader {
  readonly replica = new Replica();
  readonly held = new Map<string, string>();
  readonly versions: Version[] = [];
  readonly #bucket: ModelBucket;
  #pending: BucketMessage[] = [];
  #seen = 0;
  #created = "";
  #reading = false;

  constructor(bucket: ModelBucket) {
    this.#bucket = bucket;
  }

  get reading(): boolean {
    return this.#reading;
  }

  open(nowMs: number): void {
    this.replica.opened(nowMs);
    this.#created = this.#bucket.facts.created;
    this.#seen = 0;
    this.#pending = [];
    this.#reading = true;
    this.fetch();
  }

  lose(): void {
    this.replica.lost();
    this.#reading = false;
  }

  /** What came into the bucket since; nothing when the bucket is another one, as with a real subscription. */
  fetch(): void {
    if (!this.#reading || this.#bucket.facts.created !== this.#created) return;
    const fresh = this.#bucket.messages().filter(({ sequence }) => sequence > this.#seen);
    this.#seen = Math.max(this.#seen, this.#bucket.facts.last);
    this.#pending.push(...fresh);
  }

  /** Hands over what waits, in the order that `shuffle` makes of it, `copies` of each. */
  deliver(
    nowMs: number,
    shuffle: (messages: readonly BucketMessage[]) => readonly BucketMessage[],
    copies: number,
  ): void {
    const messages = shuffle(this.#pending.flatMap((message) => Array.from({ length: copies }, () => message)));
    this.#pending = [];
    for (const message of messages) this.do(this.replica.message(message, nowMs), nowMs);
    this.do(this.replica.caughtUp(nowMs), nowMs);
  }

  do(effects: readonly ReplicaEffect[], nowMs: number): void {
    for (const effect of effects) {
      if (effect.type === "reopen") {
        this.lose();
        this.open(nowMs);
        continue;
      }
      const { snapshot, version, upserted, removed } = effect.delta;
      if (snapshot) this.held.clear();
      for (const key of removed) this.held.delete(key);
      for (const { key, bytes } of upserted) this.held.set(key, Buffer.from(bytes).toString());
      this.versions.push(version);
    }
  }

  /** Versions never went back. */
  get monotonic(): boolean {
    return this.versions.every((version, index) => {
      const before = this.versions[index - 1];
      return before === undefined || compareVersions(version, before) >= 0;
    });
  }
}
