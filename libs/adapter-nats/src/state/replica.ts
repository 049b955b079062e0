import { compareVersions, type Version } from "../wire/head.ts";
import { parsePartName, partName } from "../wire/keys.ts";
import { fromParts, partCount } from "../wire/parts.ts";
import { type BucketMessage, Mirror } from "./mirror.ts";

/** A change for watchers, its values still bytes. */
export interface ReplicaDelta {
  /** It replaces everything. */
  readonly snapshot: boolean;
  readonly version: Version;
  readonly upserted: readonly { readonly key: string; readonly revision: number; readonly bytes: Uint8Array }[];
  readonly removed: readonly string[];
}

/** What is to be done: hand a change on, or read the bucket again from its beginning. */
export type ReplicaEffect =
  | { readonly type: "deliver"; readonly delta: ReplicaDelta }
  | { readonly type: "reopen"; readonly reason: string };

/** Milliseconds. */
export interface ReplicaTimes {
  /** How long the word of a publisher counts; it says something every second. */
  readonly beatMs: number;
  /** How long a bucket may be not whole, or behind its publisher, before it is read again; doubles up to sixteen times that. */
  readonly repairMs: number;
}

/** A reader that follows for months must not collect the names of everything that ever was. */
const MOST_DELETIONS = 4096;

/** The usual times. */
export const REPLICA_TIMES: ReplicaTimes = { beatMs: 3000, repairMs: 2000 };

/**
 * The reading side of a state topic, without sockets. It hands on only whole states (all parts there, none too many, by the head's digest), and
 * never one that is older than what it has handed on: so a bucket that was wiped, or restored from a backup, changes nothing until its
 * publisher has repaired it.
 *
 * ## Lost → Reading (opened) → Following (caughtUp) → Lost (lost) …; every opening begins with an empty mirror.
 *
 * The very first state is taken when its publisher has confirmed it, or when none was heard for `beatMs`: a bucket whose publisher is away is
 * the best there is.
 */
export class Replica {
  readonly #times: ReplicaTimes;
  readonly #delivered = new Map<string, string>();
  #mirror = new Mirror(MOST_DELETIONS);
  #phase: "lost" | "reading" | "following" = "lost";
  /** Names that may differ from what was delivered; undefined: any. */
  #touched: Set<string> | undefined;
  #version: Version | undefined;
  #beat: { readonly version: Version; readonly at: number } | undefined;
  #openedAt = 0;
  #wrongSince: number | undefined;
  #repairs = 0;

  constructor(times: ReplicaTimes = REPLICA_TIMES) {
    this.#times = times;
  }

  /** What was handed on last. */
  get version(): Version | undefined {
    return this.#version;
  }

  /** Whether what was handed on is what the publisher says is in force, now. */
  current(nowMs: number): boolean {
    const beat = this.#fresh(nowMs);
    return this.#aligned() && beat !== undefined && !this.#behind(beat);
  }

  /** A reading of the bucket began; everything in it comes again. */
  opened(nowMs: number): void {
    this.#mirror = new Mirror(MOST_DELETIONS);
    this.#phase = "reading";
    this.#touched = undefined;
    this.#openedAt = nowMs;
    this.#wrongSince = undefined;
  }

  /** A message of the bucket. */
  message(message: BucketMessage, nowMs: number): readonly ReplicaEffect[] {
    if (this.#phase === "lost" || !this.#mirror.take(message)) return [];
    this.#touched?.add(message.name);
    return this.#phase === "following" ? this.#look(nowMs) : [];
  }

  /** Everything that was in the bucket at the opening has come. */
  caughtUp(nowMs: number): readonly ReplicaEffect[] {
    if (this.#phase !== "reading") return [];
    this.#phase = "following";
    return this.#look(nowMs);
  }

  /** The reading ended. What was handed on stays in force. */
  lost(): void {
    this.#phase = "lost";
    this.#mirror = new Mirror(MOST_DELETIONS);
    this.#wrongSince = undefined;
  }

  /** A publisher says which version is in force. The word of an older one counts only when no newer is heard. */
  beat(version: Version, nowMs: number): readonly ReplicaEffect[] {
    const known = this.#fresh(nowMs);
    if (known !== undefined && compareVersions(version, known) < 0) return [];
    this.#beat = { version, at: nowMs };
    return this.tick(nowMs);
  }

  /** Time passed. */
  tick(nowMs: number): readonly ReplicaEffect[] {
    if (this.#phase !== "following") return [];
    const effects = this.#look(nowMs);
    const beat = this.#fresh(nowMs);
    if (this.#aligned() && (beat === undefined || !this.#behind(beat))) {
      this.#wrongSince = undefined;
      this.#repairs = 0;
      return effects;
    }
    this.#wrongSince ??= nowMs;
    const patience = this.#times.repairMs * 2 ** Math.min(this.#repairs, 4);
    if (nowMs - this.#wrongSince < patience) return effects;
    this.#wrongSince = undefined;
    this.#repairs++;
    return [
      ...effects,
      { type: "reopen", reason: this.#mirror.whole ? "it is behind its publisher" : "it is not whole" },
    ];
  }

  #fresh(nowMs: number): Version | undefined {
    return this.#beat !== undefined && nowMs - this.#beat.at <= this.#times.beatMs ? this.#beat.version : undefined;
  }

  /** The bucket is whole and is what was handed on. */
  #aligned(): boolean {
    const { head, whole } = this.#mirror;
    return (
      this.#phase === "following" &&
      whole &&
      head !== undefined &&
      this.#version !== undefined &&
      compareVersions(head.version, this.#version) === 0
    );
  }

  #behind(beat: Version): boolean {
    return this.#version === undefined || compareVersions(this.#version, beat) < 0;
  }

  #look(nowMs: number): readonly ReplicaEffect[] {
    const { head, whole } = this.#mirror;
    if (!whole || head === undefined || !this.#acceptable(head.version, nowMs)) return [];
    if (this.#version !== undefined && this.#touched?.size === 0) return [];
    const first = this.#version === undefined;
    const newer = this.#version === undefined || compareVersions(head.version, this.#version) > 0;
    this.#version = head.version;
    const { upserted, removed } = this.#difference();
    this.#touched = new Set();
    if (!newer && upserted.length + removed.length === 0) return [];
    return [{ type: "deliver", delta: { snapshot: first, version: head.version, upserted, removed } }];
  }

  #acceptable(version: Version, nowMs: number): boolean {
    if (this.#version !== undefined) return compareVersions(version, this.#version) >= 0;
    const beat = this.#fresh(nowMs);
    if (beat !== undefined) return compareVersions(version, beat) >= 0;
    return nowMs - this.#openedAt >= this.#times.beatMs;
  }

  /** What is different from what was handed on, by key; what was handed on becomes what is there. */
  #difference(): Pick<ReplicaDelta, "upserted" | "removed"> {
    const names = this.#touched ?? new Set([...this.#mirror.partNames(), ...this.#delivered.keys()]);
    const changed = new Set<string>();
    for (const name of names) {
      const print = this.#mirror.print(name);
      if (print === this.#delivered.get(name)) {
        this.#release(name);
        continue;
      }
      const place = parsePartName(name);
      if (place !== undefined) changed.add(place.key);
      if (print === undefined) this.#delivered.delete(name);
      else this.#delivered.set(name, print);
    }
    const upserted: { key: string; revision: number; bytes: Uint8Array }[] = [];
    const removed: string[] = [];
    for (const key of changed) {
      const value = fromParts((part) => this.#mirror.bytes(partName(key, part)));
      if (value === undefined) removed.push(key);
      else upserted.push({ key, ...value });
      this.#release(partName(key, 0));
    }
    return { upserted, removed };
  }

  /** Bytes are kept only of values in several parts: of those, some may change and others not. */
  #release(name: string): void {
    const bytes = this.#mirror.bytes(name);
    const place = parsePartName(name);
    if (bytes === undefined || place === undefined || place.part !== 0) return;
    if ((partCount(bytes) ?? 1) === 1) this.#mirror.release(name);
  }
}
