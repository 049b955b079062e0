import { poolExhausted } from "../errors.ts";

/** First address of 127.64.0.0/10, as a number. */
const POD_RANGE = 127 * 2 ** 24 + 64 * 2 ** 16;
/** Addresses of one mesh: a /18. */
const BLOCK_SIZE = 2 ** 14;
/** How many meshes fit on one machine. */
export const BLOCK_COUNT = 2 ** 22 / BLOCK_SIZE;

/** The addresses of one mesh: pods in the lower half, service listeners in the upper half; the very first one marks the block. */
export interface AddressBlock {
  readonly index: number;
  /** Bound by the supervisor for its lifetime, so that no other mesh takes the block. */
  readonly marker: string;
  readonly pods: AddressPool;
  readonly services: AddressPool;
}

/** First address of 100.64.0.0/10, the address space shared by carriers: no machine's own network should have it. */
const NAMESPACE_RANGE = 100 * 2 ** 24 + 64 * 2 ** 16;
/** Prefix length of one mesh's addresses. */
export const BLOCK_BITS = 18;

/**
 * The block with this number, 0 to {@link BLOCK_COUNT} - 1.
 * @param where on loopback, or between the network namespaces of the mesh; then the marker is the machine's own address.
 */
export function addressBlock(index: number, where: "loopback" | "namespaces" = "loopback"): AddressBlock {
  const base = (where === "loopback" ? POD_RANGE : NAMESPACE_RANGE) + index * BLOCK_SIZE;
  const half = BLOCK_SIZE / 2;
  return {
    index,
    marker: formatAddress(base + 1),
    pods: new AddressPool(base + 2, half - 2),
    services: new AddressPool(base + half, half - 1),
  };
}

/** The loopback address that belongs to an address between namespaces: for what only this machine may ask. */
export function loopbackTwin(address: string): string {
  return formatAddress(parseAddress(address) - NAMESPACE_RANGE + POD_RANGE);
}

/** Hands out addresses one after the other, so that an address is not used again soon after it was given back. */
export class AddressPool {
  readonly #first: number;
  readonly #size: number;
  readonly #taken = new Set<number>();
  #next = 0;

  constructor(first: number, size: number) {
    this.#first = first;
    this.#size = size;
  }

  /** @throws LTN7003 when all are taken. */
  take(): string {
    for (let tries = 0; tries < this.#size; tries++) {
      const offset = this.#next;
      this.#next = (this.#next + 1) % this.#size;
      if (this.#taken.has(offset)) continue;
      this.#taken.add(offset);
      return formatAddress(this.#first + offset);
    }
    throw poolExhausted("pod address");
  }

  release(address: string): void {
    this.#taken.delete(parseAddress(address) - this.#first);
  }
}

/** Dotted form of a 32-bit address. */
export function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

/** The 32-bit number of a dotted address. */
export function parseAddress(text: string): number {
  return text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** FNV-1a, for picking a starting point that is stable for a name. */
export function stableHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
