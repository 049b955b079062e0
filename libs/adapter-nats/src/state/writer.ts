import type { StateDelta } from "@lateen/ports";
import { fingerprint, SetDigest } from "../wire/digest.ts";
import { compareVersions, encodeHead, HEAD_NAME, type Version } from "../wire/head.ts";
import { parsePartName, partName } from "../wire/keys.ts";
import { toParts } from "../wire/parts.ts";
import { type BucketMessage, Mirror } from "./mirror.ts";

/** A message to write. The server takes it only while the last message of the whole bucket has this sequence: so there is one writer. */
export interface BucketWrite {
  readonly name: string;
  /** undefined: delete. */
  readonly bytes: Uint8Array | undefined;
  readonly after: number;
}

/** What a look at the bucket from outside says. */
export interface BucketFacts {
  /** When it was made; another time is another bucket. */
  readonly created: string;
  readonly last: number;
  /** Names in it, where the server counts them. */
  readonly names: number | undefined;
}

interface Value {
  readonly revision: number;
  readonly bytes: Uint8Array;
  readonly prints: readonly string[];
}

export interface WriterOptions {
  /** Fencing token of the lease that lets us publish. */
  readonly epoch: number;
  /** Most bytes of one message. */
  readonly partBytes: number;
}

/**
 * The writing side of a state topic, without sockets: makes the bucket equal to what was published, whatever is in it. It reads the bucket,
 * writes what differs and at last the head, each message on condition that the one before it is the bucket's last. Whenever that does not
 * hold — somebody else wrote, the bucket was wiped, restored or replaced — it reads again.
 *
 * ## Lost → Reading (opened) → Writing (caughtUp) → Lost (lost) …; Reading → Fenced when the bucket's head is of a larger epoch, or of a
 * revision of ours that we do not know.
 *
 * Fenced is final for this bucket: another publisher leads, and nothing is written any more.
 */
export class Writer {
  readonly #epoch: number;
  readonly #partBytes: number;
  readonly #values = new Map<string, Value>();
  /** Fingerprint of every part that is to be there. */
  readonly #wanted = new Map<string, string>();
  readonly #digest = new SetDigest();
  readonly #unsettled = new Set<string>();
  #version: Version | undefined;
  #mirror = new Mirror(Number.POSITIVE_INFINITY);
  #phase: "lost" | "reading" | "writing" | "fenced" = "lost";
  #created = "";
  #inFlight = 0;
  #tail = 0;

  constructor({ epoch, partBytes }: WriterOptions) {
    this.#epoch = epoch;
    this.#partBytes = partBytes;
  }

  /** What is to be in force; undefined before the first publication. */
  get version(): Version | undefined {
    return this.#version;
  }

  get fenced(): boolean {
    return this.#phase === "fenced";
  }

  /** The bucket is what was published, and the server has confirmed it. */
  get settled(): boolean {
    return this.#phase === "writing" && this.#inFlight === 0 && this.#version !== undefined && !this.#hasWork();
  }

  /** Takes over what is to be there; entries as bytes. The first publication is a snapshot whatever it says. */
  publish(delta: StateDelta<Uint8Array>): void {
    if (delta.snapshot || this.#version === undefined) {
      const named = new Set(delta.upserted.map(({ key }) => key));
      for (const key of [...this.#values.keys()]) if (!named.has(key)) this.#remove(key);
    } else for (const key of delta.removed) this.#remove(key);
    for (const { key, value, revision } of delta.upserted) this.#put(key, revision, value);
    this.#version = { epoch: this.#epoch, revision: delta.revision, step: (this.#version?.step ?? 0) + 1 };
  }

  /** A reading of the bucket began. `created` tells buckets apart. */
  opened(created: string): void {
    this.#mirror = new Mirror(Number.POSITIVE_INFINITY);
    this.#phase = "reading";
    this.#created = created;
    this.#inFlight = 0;
  }

  message(message: BucketMessage): void {
    if (this.#phase === "reading") this.#mirror.take(message);
  }

  /** Everything that is in the bucket has come; `last` is the bucket's last sequence, which may be that of something deleted since. */
  caughtUp(last: number): void {
    if (this.#phase !== "reading") return;
    this.#tail = Math.max(last, this.#mirror.last);
    const found = this.#mirror.head?.version;
    const own = this.#version ?? { epoch: this.#epoch, revision: 0, step: 0 };
    if (found !== undefined && compareVersions({ ...found, step: 0 }, { ...own, step: 0 }) > 0) {
      this.#phase = "fenced";
      return;
    }
    this.#phase = "writing";
    // A step that was used for something else already must not be used again: who has seen it would not look.
    if (found !== undefined && compareVersions(found, own) >= 0 && !this.#holds()) {
      this.#version = { ...own, step: found.step + 1 };
    }
    this.#unsettled.clear();
    for (const [name, print] of this.#wanted) if (this.#mirror.print(name) !== print) this.#unsettled.add(name);
    for (const name of this.#mirror.partNames()) if (!this.#wanted.has(name)) this.#unsettled.add(name);
  }

  /** Reading or writing came to an end, or something was not as expected. */
  lost(): void {
    if (this.#phase === "fenced") return;
    this.#phase = "lost";
    this.#mirror = new Mirror(Number.POSITIVE_INFINITY);
    this.#inFlight = 0;
  }

  /** The next message to write, its condition counting on all before it; undefined when there is nothing to do now. */
  next(): BucketWrite | undefined {
    if (this.#phase !== "writing" || this.#version === undefined) return undefined;
    for (const name of this.#unsettled) {
      this.#unsettled.delete(name);
      const wanted = this.#wanted.get(name);
      if (this.#mirror.print(name) === wanted) continue;
      return this.#write(name, wanted === undefined ? undefined : this.#part(name));
    }
    if (this.#holds()) return undefined;
    const { version } = this;
    if (version === undefined) return undefined;
    return this.#write(HEAD_NAME, encodeHead({ version, parts: this.#wanted.size, digest: this.#digest.hex }));
  }

  /** The server took a message. */
  written(): void {
    if (this.#phase === "writing" && this.#inFlight > 0) this.#inFlight--;
  }

  /** Whether the bucket is, seen from outside, what it must be by our own count. Only meaningful when nothing is under way. */
  agrees({ created, last, names }: BucketFacts): boolean {
    if (this.#phase === "fenced") return created === this.#created && last >= this.#tail;
    if (this.#phase !== "writing" || this.#inFlight > 0) return true;
    return created === this.#created && last === this.#tail && (names === undefined || names === this.#mirror.names);
  }

  /** Deletions that have lain in the bucket for long, by the sequence they were written at; at most `most`. */
  oldDeletions(before: number, most: number): readonly { readonly name: string; readonly sequence: number }[] {
    const found: { name: string; sequence: number }[] = [];
    if (!this.settled) return found;
    for (const [name, sequence] of this.#mirror.deletions) {
      if (sequence > before || found.length >= most) break;
      found.push({ name, sequence });
    }
    return found;
  }

  /** That deletion was taken out of the bucket. */
  cleaned(name: string): void {
    this.#mirror.forgetDeletion(name);
  }

  /** Sequence of the last message in the bucket as far as we know. */
  get last(): number {
    return this.#tail;
  }

  #hasWork(): boolean {
    return this.#unsettled.size > 0 || !this.#holds();
  }

  /** The bucket's head says what it is to say. */
  #holds(): boolean {
    const head = this.#mirror.head;
    if (head === undefined || this.#version === undefined) return false;
    return (
      compareVersions(head.version, this.#version) === 0 &&
      head.parts === this.#wanted.size &&
      head.digest === this.#digest.hex
    );
  }

  #write(name: string, bytes: Uint8Array | undefined): BucketWrite {
    const after = this.#tail;
    this.#tail++;
    this.#inFlight++;
    this.#mirror.take({ sequence: this.#tail, name, bytes });
    if (name !== HEAD_NAME) this.#mirror.release(name);
    return { name, bytes, after };
  }

  #part(name: string): Uint8Array | undefined {
    const place = parsePartName(name);
    const value = place === undefined ? undefined : this.#values.get(place.key);
    return value === undefined || place === undefined ? undefined : toParts(value, this.#partBytes)[place.part];
  }

  #put(key: string, revision: number, bytes: Uint8Array): void {
    const parts = toParts({ revision, bytes }, this.#partBytes);
    const prints = parts.map((part, index) => fingerprint(partName(key, index), part));
    const before = this.#values.get(key)?.prints ?? [];
    for (let index = 0; index < Math.max(before.length, prints.length); index++) {
      this.#want(partName(key, index), prints[index]);
    }
    this.#values.set(key, { revision, bytes, prints });
  }

  #remove(key: string): void {
    const value = this.#values.get(key);
    if (value === undefined) return;
    this.#values.delete(key);
    for (let index = 0; index < value.prints.length; index++) this.#want(partName(key, index), undefined);
  }

  #want(name: string, print: string | undefined): void {
    const before = this.#wanted.get(name);
    if (before === print) return;
    if (before !== undefined) this.#digest.toggle(before);
    if (print === undefined) this.#wanted.delete(name);
    else {
      this.#wanted.set(name, print);
      this.#digest.toggle(print);
    }
    this.#unsettled.add(name);
  }
}
