import type { Clock, Logger, Random, Result, Scope } from "@lateen/kernel";
import type { Bus, StateDelta } from "@lateen/ports";
import type { BucketSize } from "../socket/bucket.ts";
import type { Link } from "../socket/link.ts";

/** How values of a topic travel. */
export interface ValueCodec<T> {
  encode(key: string, value: T): Uint8Array;
  /** Fails for what this version cannot read; such a value is logged and left out. */
  decode(key: string, bytes: Uint8Array): Result<T, string>;
}

/** Asks the publisher itself, without NATS: a snapshot first, then deltas, until the scope closes. */
export type WatchDirectly<T> = (scope: Scope, receive: (delta: StateDelta<T>) => void) => void;

/** What following a topic needs beside. */
export interface FollowingParts<T> {
  /** Carries what arrives to the watchers of this process. */
  readonly local: Bus;
  readonly direct: WatchDirectly<T> | undefined;
  /** Keys whose values are read; undefined: all. */
  readonly wanted: ((key: string) => boolean) | undefined;
}

/** What the two sides of a topic need. */
export interface TopicParts {
  readonly name: string;
  readonly bucket: string;
  /** Where publishers say that they live. */
  readonly beatSubject: string;
  readonly link: Link;
  readonly size: BucketSize;
  readonly scope: Scope;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}
