import type { HeadView } from "@lateen/traffic";
import { decodeFacts, type PeerClaim } from "./facts.ts";

/** Peers remembered by one worker; the oldest go first. */
const MAX_PEERS = 500;

interface Entry {
  readonly id: Buffer;
  readonly metadata: Buffer;
  readonly claim: PeerClaim | undefined;
}

/**
 * Decoded metadata by the very bytes that carried it, so that a peer's header is decoded once and its facts keep their identity.
 * The id alone is no key: anybody may send another's.
 */
export class PeerClaims {
  readonly #byHash = new Map<number, Entry>();

  /** @param id, metadata indices of the headers. */
  find(head: HeadView, id: number, metadata: number): PeerClaim | undefined {
    const hash = (hashOf(head, id) ^ tailHash(head, metadata)) & 0x3fffffff;
    const known = this.#byHash.get(hash);
    if (known !== undefined && sameValue(head, id, known.id) && sameValue(head, metadata, known.metadata)) {
      return known.claim;
    }
    const entry = {
      id: copyOf(head, id),
      metadata: copyOf(head, metadata),
      claim: decodeFacts(head.valueText(metadata)),
    };
    const oldest = this.#byHash.size >= MAX_PEERS ? this.#byHash.keys().next().value : undefined;
    if (oldest !== undefined) this.#byHash.delete(oldest);
    this.#byHash.set(hash, entry);
    return entry.claim;
  }
}

function hashOf(head: HeadView, index: number): number {
  const end = head.offsets[index * 4 + 3] ?? 0;
  let hash = 0x811c9dc5 | 0;
  for (let i = head.offsets[index * 4 + 2] ?? 0; i < end; i++) hash = Math.imul(hash ^ (head.bytes[i] ?? 0), 16777619);
  return hash;
}

/** Enough to tell one metadata of an id from another after a restart; equality is checked anyway. */
function tailHash(head: HeadView, index: number): number {
  const end = head.offsets[index * 4 + 3] ?? 0;
  const start = Math.max(head.offsets[index * 4 + 2] ?? 0, end - 16);
  let hash = end - (head.offsets[index * 4 + 2] ?? 0);
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (head.bytes[i] ?? 0), 16777619);
  return hash;
}

function sameValue(head: HeadView, index: number, value: Buffer): boolean {
  const start = head.offsets[index * 4 + 2] ?? 0;
  const end = head.offsets[index * 4 + 3] ?? 0;
  return end - start === value.length && value.compare(head.bytes, start, end) === 0;
}

function copyOf(head: HeadView, index: number): Buffer {
  return Buffer.from(head.bytes.slice(head.offsets[index * 4 + 2], head.offsets[index * 4 + 3]));
}
