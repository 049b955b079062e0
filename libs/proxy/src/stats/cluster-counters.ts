import type { BreakerPart } from "../upstream/breaker.ts";
import type { Slots } from "./slots.ts";

/** Counters of one cluster under Envoy's names. */
export class ClusterCounters {
  readonly #slots: Slots;
  readonly #cluster: string;
  readonly #classes: (number | undefined)[] = [];
  readonly #total: number;
  readonly #requests: number;
  readonly #active: number;
  readonly #overflow: number;
  readonly #connectFail: number;
  readonly #retry: number;
  readonly #timeout: number;
  readonly #ejections: number;
  /** Series that few clusters have; made when first counted. */
  readonly #later = new Map<string, number>();

  constructor(slots: Slots, cluster: string) {
    const labels = { cluster_name: cluster };
    this.#slots = slots;
    this.#cluster = cluster;
    this.#total = slots.counter("envoy_cluster_upstream_cx_total", labels);
    this.#active = slots.gauge("envoy_cluster_upstream_cx_active", labels);
    this.#requests = slots.counter("envoy_cluster_upstream_rq_total", labels);
    this.#overflow = slots.counter("envoy_cluster_upstream_rq_pending_overflow", labels);
    this.#connectFail = slots.counter("envoy_cluster_upstream_cx_connect_fail", labels);
    this.#retry = slots.counter("envoy_cluster_upstream_rq_retry", labels);
    this.#timeout = slots.counter("envoy_cluster_upstream_rq_timeout", labels);
    this.#ejections = slots.counter("envoy_cluster_outlier_detection_ejections_enforced_total", labels);
  }

  connection(): void {
    this.#slots.add(this.#total, 1);
    this.#slots.add(this.#active, 1);
  }
  connectionGone(): void {
    this.#slots.add(this.#active, -1);
  }
  request(): void {
    this.#slots.add(this.#requests, 1);
  }
  overflow(): void {
    this.#slots.add(this.#overflow, 1);
  }
  connectFail(): void {
    this.#slots.add(this.#connectFail, 1);
  }
  retry(): void {
    this.#slots.add(this.#retry, 1);
  }
  /** A response head from an endpoint. Series of a class are made when it is first seen. */
  response(status: number): void {
    const digit = Math.floor(status / 100);
    let slot = this.#classes[digit];
    if (slot === undefined) {
      const labels = { cluster_name: this.#cluster, envoy_response_code_class: String(digit) };
      slot = this.#slots.counter("envoy_cluster_upstream_rq_xx", labels);
      this.#classes[digit] = slot;
    }
    this.#slots.add(slot, 1);
  }
  timeout(): void {
    this.#slots.add(this.#timeout, 1);
  }
  ejection(): void {
    this.#slots.add(this.#ejections, 1);
  }
  dnsAttempt(): void {
    this.#update("attempt");
  }
  dnsSuccess(): void {
    this.#update("success");
  }
  dnsEmpty(): void {
    this.#update("success");
    this.#update("empty");
  }
  dnsFailure(): void {
    this.#update("failure");
  }
  connectionOverflow(): void {
    this.#rare("envoy_cluster_upstream_cx_overflow");
  }
  retryOverflow(): void {
    this.#rare("envoy_cluster_upstream_rq_retry_overflow");
  }
  /** A limit was reached, or is not any more. */
  breaker(priority: "default" | "high", part: BreakerPart, open: boolean): void {
    const labels = { cluster_name: this.#cluster };
    const slot = this.#slots.gauge(`envoy_cluster_circuit_breakers_${priority}_${part}_open`, labels, { common: true });
    this.#slots.set(slot, open ? 1 : 0);
  }
  #update(what: "attempt" | "success" | "empty" | "failure"): void {
    this.#rare(`envoy_cluster_update_${what}`);
  }
  #rare(name: string): void {
    let slot = this.#later.get(name);
    if (slot === undefined) {
      slot = this.#slots.counter(name, { cluster_name: this.#cluster });
      this.#later.set(name, slot);
    }
    this.#slots.add(slot, 1);
  }
}
