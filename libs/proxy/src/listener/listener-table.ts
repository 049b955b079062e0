import type { Listener } from "./listener.ts";

/** Names under which Istio's control planes send the two catch-all listeners. */
const VIRTUAL_INBOUND = "virtualInbound";
const VIRTUAL_OUTBOUND = "virtualOutbound";
const WILDCARDS = ["0.0.0.0", "::"] as const;

/** The listeners in force, found by name or by the destination a connection originally had. */
export class ListenerTable {
  #byName: ReadonlyMap<string, Listener> = new Map();
  #outbound: ReadonlyMap<string, Listener> = new Map();
  /** Grows with every change of configuration. */
  version = 0;

  all(): Iterable<Listener> {
    return this.#byName.values();
  }

  get(name: string): Listener | undefined {
    return this.#byName.get(name);
  }

  /** Puts a new set in force, as a whole. */
  replace(listeners: ReadonlyMap<string, Listener>): void {
    const outbound = new Map<string, Listener>();
    for (const listener of listeners.values()) {
      const { address, port, direction } = listener.spec;
      if (direction !== "inbound") outbound.set(`${address}|${port}`, listener);
    }
    this.version++;
    this.#byName = listeners;
    this.#outbound = outbound;
  }

  /** What takes an inbound connection to this workload. */
  inbound(): Listener | undefined {
    return this.#byName.get(VIRTUAL_INBOUND);
  }

  /** What takes an outbound connection: the listener of that very address, of that port on any address, or the catch-all. */
  outboundFor(address: string, port: number): Listener | undefined {
    return this.#outbound.get(`${address}|${port}`) ?? this.wildcardFor(port) ?? this.#byName.get(VIRTUAL_OUTBOUND);
  }

  /** The listener of a port on any address. */
  wildcardFor(port: number): Listener | undefined {
    for (const wildcard of WILDCARDS) {
      const found = this.#outbound.get(`${wildcard}|${port}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
