import { messageOf } from "@lateen/kernel";
import { type ApiObject, isOlder } from "../client/objects.ts";

/** What became of an object as it came from the API server. */
export type Converted<T> =
  | {
      readonly outcome: "kept";
      readonly value: T;
      /** Equal for objects that mean the same to the receiver: those that differ in other fields are not delivered again. */
      readonly print: string;
    }
  /** Not wanted. */
  | { readonly outcome: "ignored" }
  /** Not usable; what was delivered of it before stays in force. */
  | { readonly outcome: "refused"; readonly reason: string };

/** What became different, by key; undefined: it is gone. */
export type Changes<T> = Map<string, T | undefined>;

interface Entry {
  readonly version: string | undefined;
  /** Of what the receiver has; undefined while it has nothing, because the object was never usable. */
  readonly print: string | undefined;
}

export interface HeldOptions<T> {
  readonly keyOf: (object: ApiObject) => string;
  readonly convert: (object: ApiObject) => Converted<T>;
  readonly refused: (key: string, reason: string) => void;
}

/** A list that is being read, page by page. Nothing changes until it is complete. */
export interface ListInProgress<T> {
  add(object: ApiObject): void;
  /** Puts the list in the place of what was held. */
  complete(): Changes<T>;
}

/**
 * What the receiver has: per object its version and the print of what was delivered, not the object. So a list that comes a second time
 * yields just what differs, and costs no memory in between.
 */
export class Held<T> {
  readonly #options: HeldOptions<T>;
  #entries = new Map<string, Entry>();

  constructor(options: HeldOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  startList(): ListInProgress<T> {
    const next = new Map<string, Entry>();
    const changes: Changes<T> = new Map();
    return {
      add: (object) => void this.#place(object, next, changes),
      complete: () => {
        for (const [key, { print }] of this.#entries) {
          if (print !== undefined && next.get(key)?.print === undefined) changes.set(key, undefined);
        }
        this.#entries = next;
        return changes;
      },
    };
  }

  /**
   * An object that a watch says was added or modified.
   * @param known version up to which everything has been seen: an object that is not held and older than that was deleted since.
   */
  upsert(object: ApiObject, known: string | undefined, changes: Changes<T>): void {
    const { resourceVersion } = object.metadata;
    const key = this.#options.keyOf(object);
    const before = this.#entries.get(key);
    if (isOlder(resourceVersion, before === undefined ? known : before.version)) return;
    if (!this.#place(object, this.#entries, changes)) this.#drop(key, changes);
  }

  /** An object that a watch says was deleted. */
  remove(object: ApiObject, changes: Changes<T>): void {
    const key = this.#options.keyOf(object);
    if (!isOlder(object.metadata.resourceVersion, this.#entries.get(key)?.version)) this.#drop(key, changes);
  }

  #drop(key: string, changes: Changes<T>): void {
    const before = this.#entries.get(key);
    this.#entries.delete(key);
    if (before?.print !== undefined) changes.set(key, undefined);
  }

  /** @returns whether the object is one to hold. */
  #place(object: ApiObject, into: Map<string, Entry>, changes: Changes<T>): boolean {
    const key = this.#options.keyOf(object);
    const version = object.metadata.resourceVersion;
    const before = this.#entries.get(key);
    if (before !== undefined && version !== undefined && before.version === version) {
      into.set(key, before);
      return true;
    }
    const converted = this.#converted(object);
    if (converted.outcome === "ignored") return false;
    if (converted.outcome === "refused") {
      into.set(key, { version, print: before?.print });
      this.#options.refused(key, converted.reason);
      return true;
    }
    into.set(key, { version, print: converted.print });
    if (before?.print !== converted.print) changes.set(key, converted.value);
    return true;
  }

  #converted(object: ApiObject): Converted<T> {
    try {
      return this.#options.convert(object);
    } catch (error) {
      return { outcome: "refused", reason: messageOf(error) };
    }
  }
}
