import { createHash } from "node:crypto";

/** Fingerprint of one part: its name and its bytes. 128 bits of SHA-256, hexadecimal. */
export function fingerprint(name: string, bytes: Uint8Array): string {
  return createHash("sha256").update(name).update("\0").update(bytes).digest("hex").slice(0, 32);
}

/**
 * Fingerprint of a set of parts, kept up to date one by one: the exclusive or of theirs, so it says nothing of order. It finds accidents,
 * not attacks: who may write to the bucket is the server's to decide.
 */
export class SetDigest {
  #sum = 0n;

  /** Adds what is not in it, or takes away what is. */
  toggle(part: string): void {
    this.#sum ^= BigInt(`0x${part}`);
  }

  get hex(): string {
    return this.#sum.toString(16).padStart(32, "0");
  }
}
