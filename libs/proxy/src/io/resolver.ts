import { lookup } from "node:dns/promises";
import type { Clock } from "@lateen/kernel";

/** How long an answer is used again, positive or negative. */
const CACHE_MS = 5000;
const MAX_ENTRIES = 1024;

/** Looks a host name up; rejects when there is no address. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** The system's resolver, IPv4 first. */
export const systemLookup: Lookup = async (host) => {
  const found = await lookup(host, { all: true, order: "ipv4first" });
  return found.map(({ address }) => address);
};

interface Entry {
  readonly expires: number;
  readonly addresses: Promise<readonly string[]>;
}

/** Host names to addresses, with a short bounded memory, so that a busy name is asked for once. */
export class Resolver {
  readonly #lookup: Lookup;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(lookup: Lookup, clock: Clock) {
    this.#lookup = lookup;
    this.#clock = clock;
  }

  resolve(host: string): Promise<readonly string[]> {
    const now = this.#clock.monotonic();
    const known = this.#entries.get(host);
    if (known !== undefined && known.expires > now) return known.addresses;
    const addresses = this.#lookup(host);
    addresses.catch(() => undefined);
    this.#entries.delete(host);
    if (this.#entries.size >= MAX_ENTRIES) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(host, { expires: now + CACHE_MS, addresses });
    return addresses;
  }
}
