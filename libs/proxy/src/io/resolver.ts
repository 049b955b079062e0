import { isIP } from "node:net";
import type { Clock } from "@lateen/kernel";

/** Answers kept at most. */
const MAX_ENTRIES = 1024;
/** How long an answer without a time of its own, and a failure, is used again. */
const KEEP_MS = 5000;

/** Which addresses are wanted; `auto`: IPv6, and IPv4 where there is none. @see envoy.config.cluster.v3.Cluster.DnsLookupFamily */
export type DnsFamily = "auto" | "v4only" | "v6only" | "v4preferred" | "all";

/** What is asked of the name service. */
export interface DnsQuestion {
  readonly host: string;
  readonly family: DnsFamily;
  /** The answer's time to live is wanted: the DNS is asked itself, before what else the system knows. */
  readonly ttl?: boolean;
  /** Servers (`address:port`) to ask instead of the system's. */
  readonly servers?: readonly string[];
  /** The host is a full name: no search domains are tried. */
  readonly exact?: boolean;
}

/** Addresses, none where the name service says that there are none. */
export interface DnsAnswer {
  readonly addresses: readonly string[];
  /** How long it holds, in milliseconds; undefined: nobody said. */
  readonly ttlMs: number | undefined;
}

/** Looks a host name up; rejects when nobody could tell. */
export type Lookup = (question: DnsQuestion) => Promise<DnsAnswer>;

interface Entry {
  readonly asked: number;
  /** Monotonic milliseconds; while the answer is awaited: for ever. */
  expires: number;
  readonly answer: Promise<DnsAnswer>;
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

  /** Addresses of a name a client asked for; rejects when there are none. */
  async resolve(host: string): Promise<readonly string[]> {
    const { addresses } = await this.ask({ host, family: "v4preferred" });
    if (addresses.length === 0) throw new Error(`${host} has no address`);
    return addresses;
  }

  /** @param maxAgeMs an older answer is not used again. A question under way is shared in any case. */
  ask(question: DnsQuestion, maxAgeMs: number = KEEP_MS): Promise<DnsAnswer> {
    if (isIP(question.host) !== 0) return Promise.resolve({ addresses: [question.host], ttlMs: undefined });
    const now = this.#clock.monotonic();
    const key = keyOf(question);
    const known = this.#entries.get(key);
    if (known !== undefined) {
      if (known.expires === Number.POSITIVE_INFINITY) return known.answer;
      if (known.expires > now && now - known.asked <= maxAgeMs)
        return known.answer.then((answer) => aged(answer, now - known.asked));
    }
    const entry: Entry = { asked: now, expires: Number.POSITIVE_INFINITY, answer: this.#lookup(question) };
    entry.answer.then(
      ({ ttlMs }) => {
        entry.expires = now + Math.min(KEEP_MS, ttlMs ?? KEEP_MS);
      },
      () => {
        entry.expires = now + KEEP_MS;
      },
    );
    this.#keep(key, entry);
    return entry.answer;
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key);
    if (this.#entries.size >= MAX_ENTRIES) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(key, entry);
  }
}

function keyOf({ host, family, ttl = false, servers = [], exact = false }: DnsQuestion): string {
  return [host, family, ttl, exact, ...servers].join("|");
}

/** What is left of its time. */
function aged(answer: DnsAnswer, ms: number): DnsAnswer {
  return answer.ttlMs === undefined ? answer : { ...answer, ttlMs: Math.max(1, answer.ttlMs - ms) };
}
