import type { Slots } from "../stats/slots.ts";

/** Counters of one listener under Envoy's names. */
export class ListenerCounters {
  readonly #slots: Slots;
  readonly #total: number;
  readonly #noMatch: number;
  readonly #tlsError: number;

  constructor(slots: Slots, listener: string) {
    const labels = { listener_address: listener };
    this.#slots = slots;
    this.#total = slots.counter("envoy_listener_downstream_cx_total", labels);
    this.#noMatch = slots.counter("envoy_listener_no_filter_chain_match", labels);
    this.#tlsError = slots.counter("envoy_listener_ssl_connection_error", labels);
  }

  opened(): void {
    this.#slots.add(this.#total, 1);
  }
  noMatch(): void {
    this.#slots.add(this.#noMatch, 1);
  }
  tlsFailed(): void {
    this.#slots.add(this.#tlsError, 1);
  }
}
