import { Scope } from "@lateen/kernel";
import type { StateDelta, StateEntry, StateTopic } from "@lateen/ports";
import { lookAtBucket } from "../socket/bucket.ts";
import { Session } from "../socket/session.ts";
import { type Feed, Follower } from "../state/follower.ts";
import { Replica, type ReplicaDelta, type ReplicaEffect } from "../state/replica.ts";
import { decodeBeat } from "../wire/head.ts";
import type { FollowingParts, TopicParts, ValueCodec } from "./parts.ts";

const TICK_MS = 250;

/** Follows a topic over NATS, or its publisher directly while NATS is not current, and hands on what is newest to a topic of this process. */
export class StateSubscriber<T> {
  readonly #parts: TopicParts;
  readonly #codec: ValueCodec<T>;
  readonly #following: FollowingParts<T>;
  /** What the bucket says; watched again whenever it is turned to. */
  readonly #bucketTopic: StateTopic<T>;
  readonly #outlet: StateTopic<T>;
  readonly #replica = new Replica();
  readonly #follower: Follower;
  readonly #watches = new Map<Feed, Scope>();
  #session: Session | undefined;

  constructor(parts: TopicParts, codec: ValueCodec<T>, following: FollowingParts<T>) {
    const { local, direct } = following;
    this.#parts = parts;
    this.#codec = codec;
    this.#following = following;
    this.#bucketTopic = local.state(`${parts.name}@nats`);
    this.#outlet = local.state(parts.name);
    this.#follower = new Follower(direct !== undefined);
    this.#start();
  }

  /** What is handed on is what the publisher says, over NATS, is in force now. */
  get current(): boolean {
    return this.#replica.current(this.#now());
  }

  /** Where what is handed on comes from. */
  get feed(): Feed {
    return this.#follower.inUse;
  }

  get revision(): number | undefined {
    return this.#follower.version?.revision;
  }

  watch(scope: Scope, receive: (delta: StateDelta<T>) => void): void {
    this.#outlet.watch(scope, receive);
  }

  #start(): void {
    const { link, bucket, beatSubject, scope, clock, random, logger, name } = this.#parts;
    this.#session = new Session({
      link,
      bucket,
      clock,
      random,
      prepare: (connection) => lookAtBucket(connection, bucket),
      opened: () => this.#replica.opened(this.#now()),
      message: (message) => this.#do(this.#replica.message(message, this.#now())),
      caughtUp: () => {
        this.#session?.succeeded();
        this.#do(this.#replica.caughtUp(this.#now()));
      },
      lost: (reason) => {
        this.#replica.lost();
        if (!scope.closed) logger.debug({ event: "nats.reading_ended", topic: name, reason });
      },
    });
    link.follow((connection) => {
      connection?.subscribe(beatSubject, {
        callback: (error, message) => {
          const version = error === null ? decodeBeat(message.data) : undefined;
          if (version !== undefined) this.#do(this.#replica.beat(version, this.#now()));
        },
      });
    });
    const stop = clock.every(TICK_MS, () => this.#do(this.#replica.tick(this.#now())));
    scope.defer(async () => {
      stop();
      this.#session?.close();
      for (const watch of this.#watches.values()) await watch.close();
    });
    this.#watch("bucket");
  }

  #now(): number {
    return this.#parts.clock.monotonic();
  }

  #do(effects: readonly ReplicaEffect[]): void {
    if (this.#parts.scope.closed) return;
    for (const effect of effects) {
      switch (effect.type) {
        case "deliver":
          void this.#bucketTopic.publish(this.#decoded(effect.delta));
          break;
        case "reopen":
          this.#parts.logger.warn({ event: "nats.read_again", topic: this.#parts.name, reason: effect.reason });
          this.#session?.reopen(effect.reason);
          break;
      }
    }
    const { version } = this.#replica;
    for (const effect of this.#follower.look({ current: this.current, version }, this.#now())) {
      if (effect.type === "watch") this.#watch(effect.feed);
      else void this.#watches.get(effect.feed)?.close();
      this.#parts.logger.info({ event: `nats.${effect.type}`, topic: this.#parts.name, feed: effect.feed });
    }
  }

  #watch(feed: Feed): void {
    void this.#watches.get(feed)?.close();
    const watch = new Scope();
    this.#watches.set(feed, watch);
    const receive = (delta: StateDelta<T>) => {
      if (watch.closed || !this.#follower.take(feed, { ...delta, epoch: delta.epoch })) return;
      void this.#outlet.publish(delta);
    };
    if (feed === "bucket") this.#bucketTopic.watch(watch, receive);
    else this.#following.direct?.(watch, receive);
  }

  #decoded({ snapshot, version, upserted, removed }: ReplicaDelta): StateDelta<T> {
    const { wanted } = this.#following;
    const entries: StateEntry<T>[] = [];
    for (const { key, revision, bytes } of upserted) {
      if (wanted?.(key) === false) continue;
      const value = this.#codec.decode(key, bytes);
      if (value.ok) entries.push({ key, value: value.value, revision });
      else
        this.#parts.logger.warn({ event: "nats.value_unreadable", topic: this.#parts.name, key, reason: value.error });
    }
    return {
      snapshot,
      revision: version.revision,
      epoch: version.epoch,
      upserted: entries,
      removed: wanted === undefined ? removed : removed.filter(wanted),
    };
  }
}
