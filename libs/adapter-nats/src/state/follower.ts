/** Where a state comes from: the bucket, or the publisher itself. */
export type Feed = "bucket" | "direct";

/** What orders states of two feeds; a feed that does not know the epoch is compared by revision alone. */
export interface FeedVersion {
  readonly epoch: number | undefined;
  readonly revision: number;
}

/** What is to be done. `watch` ends the former watch of that feed, if any, and begins one, which begins with a snapshot. */
export type FollowerEffect =
  | { readonly type: "watch"; readonly feed: Feed }
  | { readonly type: "leave"; readonly feed: Feed };

/** Milliseconds. */
export interface FollowerTimes {
  /** How long the bucket may not be current before the publisher is asked directly. */
  readonly impatientMs: number;
  /** How long it must have been current before it is trusted again. */
  readonly steadyMs: number;
}

export const FOLLOWER_TIMES: FollowerTimes = { impatientMs: 1000, steadyMs: 2000 };

/**
 * Chooses between the bucket and the publisher itself, so that what is handed on never goes back: of two feeds the one in use counts, and a
 * feed that was not in use begins with a snapshot that is as new as what is in force, or is not listened to.
 *
 * ## bucket → both (not current for `impatientMs`) → direct (its snapshot came) → bucket (current for `steadyMs`, and as new)
 *
 * Fail mode: when neither says anything, what is in force stays.
 */
export class Follower {
  readonly #times: FollowerTimes;
  readonly #hasDirect: boolean;
  #inUse: Feed = "bucket";
  #directOpen = false;
  /** The bucket is being watched anew, in order to be used again. */
  #returning = false;
  /** The feed in use has begun with a snapshot that was taken. */
  readonly #inLine = new Set<Feed>();
  #version: FeedVersion | undefined;
  #currentSince: number | undefined;
  #awaySince: number | undefined;

  /** @param hasDirect whether the publisher can be asked at all. */
  constructor(hasDirect: boolean, times: FollowerTimes = FOLLOWER_TIMES) {
    this.#hasDirect = hasDirect;
    this.#times = times;
  }

  get inUse(): Feed {
    return this.#inUse;
  }

  /** What is in force. */
  get version(): FeedVersion | undefined {
    return this.#version;
  }

  /** A change arrived from a feed that is watched. @returns whether it is to be handed on. */
  take(feed: Feed, change: FeedVersion & { readonly snapshot: boolean }): boolean {
    if (!change.snapshot) {
      if (feed !== this.#inUse || !this.#inLine.has(feed)) return false;
      this.#version = { epoch: change.epoch ?? this.#version?.epoch, revision: change.revision };
      return true;
    }
    this.#inLine.delete(feed);
    if (this.#older(change)) return false;
    // Once the publisher itself is in use, the bucket counts again when it was turned to.
    if (feed === "bucket" && this.#inUse === "direct" && !this.#returning) return false;
    this.#returning = false;
    this.#inUse = feed;
    this.#inLine.add(feed);
    this.#version = { epoch: change.epoch ?? this.#version?.epoch, revision: change.revision };
    return true;
  }

  /**
   * Time passed, or something became different.
   * @param bucket its version, and whether it is what its publisher says is in force now.
   */
  look(
    bucket: { readonly current: boolean; readonly version: FeedVersion | undefined },
    nowMs: number,
  ): readonly FollowerEffect[] {
    if (bucket.current) {
      this.#awaySince = undefined;
      this.#currentSince ??= nowMs;
    } else {
      this.#currentSince = undefined;
      this.#awaySince ??= nowMs;
    }
    if (!this.#hasDirect) return [];
    if (!bucket.current) {
      if (this.#directOpen || nowMs - (this.#awaySince ?? nowMs) < this.#times.impatientMs) return [];
      this.#directOpen = true;
      return [{ type: "watch", feed: "direct" }];
    }
    if (!this.#directOpen || nowMs - (this.#currentSince ?? nowMs) < this.#times.steadyMs) return [];
    if (bucket.version === undefined || this.#older(bucket.version)) return [];
    this.#directOpen = false;
    this.#inLine.delete("direct");
    this.#returning = this.#inUse === "direct";
    const back: FollowerEffect[] = this.#inUse === "bucket" ? [] : [{ type: "watch", feed: "bucket" }];
    return [...back, { type: "leave", feed: "direct" }];
  }

  #older({ epoch, revision }: FeedVersion): boolean {
    if (this.#version === undefined) return false;
    const known = this.#version.epoch;
    if (epoch !== undefined && known !== undefined && epoch !== known) return epoch < known;
    return revision < this.#version.revision;
  }
}
