import { fingerprint, SetDigest } from "../wire/digest.ts";
import { decodeHead, HEAD_NAME, type Head } from "../wire/head.ts";

/** One message of the bucket: what lies under a name since a sequence number, or that nothing does any more. */
export interface BucketMessage {
  /** Place in the bucket's stream; grows with every message. */
  readonly sequence: number;
  readonly name: string;
  /** undefined: it was deleted. */
  readonly bytes: Uint8Array | undefined;
}

interface Cell {
  readonly sequence: number;
  /** undefined: deleted. */
  readonly print: string | undefined;
  /** Let go of once it is no longer needed. */
  bytes: Uint8Array | undefined;
}

/**
 * What one reading of a bucket has found so far. Messages may come twice and in any order: of each name the one with the largest sequence
 * counts. Invariant: `digest` and `parts` are those of the cells that are there.
 */
export class Mirror {
  readonly #cells = new Map<string, Cell>();
  readonly #deleted = new Map<string, number>();
  readonly #digest = new SetDigest();
  readonly #mostDeletions: number;
  #head: Head | undefined;
  #headSequence = 0;
  #headName = false;
  #last = 0;
  #parts = 0;

  /** @param mostDeletions that are remembered, so that an older message of the same name is known to be old; the oldest is forgotten first. */
  constructor(mostDeletions: number) {
    this.#mostDeletions = mostDeletions;
  }

  get head(): Head | undefined {
    return this.#head;
  }

  /** Largest sequence number seen. */
  get last(): number {
    return this.#last;
  }

  get digest(): string {
    return this.#digest.hex;
  }

  get parts(): number {
    return this.#parts;
  }

  /** How many names the bucket has as far as it was read: parts, deletions that still lie there, and the head. */
  get names(): number {
    return this.#parts + this.#deleted.size + (this.#headName ? 1 : 0);
  }

  /** Names whose deletion still lies in the bucket, with its sequence, oldest first. */
  get deletions(): Iterable<readonly [string, number]> {
    return this.#deleted;
  }

  /** Whether it is exactly what its head describes. */
  get whole(): boolean {
    return this.#head !== undefined && this.#head.parts === this.#parts && this.#head.digest === this.digest;
  }

  /** @returns false when something newer of the same name was there already. */
  take({ sequence, name, bytes }: BucketMessage): boolean {
    this.#last = Math.max(this.#last, sequence);
    if (name === HEAD_NAME) {
      if (sequence <= this.#headSequence) return false;
      this.#headSequence = sequence;
      this.#headName = true;
      this.#head = bytes === undefined ? undefined : decodeHead(bytes);
      return true;
    }
    if (sequence <= (this.#cells.get(name)?.sequence ?? this.#deleted.get(name) ?? 0)) return false;
    this.#drop(name);
    if (bytes === undefined) this.#rememberDeletion(name, sequence);
    else {
      const print = fingerprint(name, bytes);
      this.#cells.set(name, { sequence, print, bytes });
      this.#digest.toggle(print);
      this.#parts++;
    }
    return true;
  }

  /** The deletion of this name was taken out of the bucket. */
  forgetDeletion(name: string): void {
    this.#deleted.delete(name);
  }

  partNames(): Iterable<string> {
    return this.#cells.keys();
  }

  print(name: string): string | undefined {
    return this.#cells.get(name)?.print;
  }

  bytes(name: string): Uint8Array | undefined {
    return this.#cells.get(name)?.bytes;
  }

  /** Lets go of the bytes of a part; its fingerprint stays. */
  release(name: string): void {
    const cell = this.#cells.get(name);
    if (cell !== undefined) cell.bytes = undefined;
  }

  #drop(name: string): void {
    const cell = this.#cells.get(name);
    if (cell?.print !== undefined) {
      this.#digest.toggle(cell.print);
      this.#parts--;
    }
    this.#cells.delete(name);
    this.#deleted.delete(name);
  }

  #rememberDeletion(name: string, sequence: number): void {
    this.#deleted.set(name, sequence);
    if (this.#deleted.size <= this.#mostDeletions) return;
    for (const oldest of this.#deleted.keys()) {
      this.#deleted.delete(oldest);
      return;
    }
  }
}
