import type { OutlierSpec } from "../config/plan.ts";
import type { UpstreamContext } from "./cluster.ts";
import type { Endpoint } from "./endpoint.ts";

/** The cluster whose endpoints are judged. */
export interface OutlierOwner {
  readonly context: Pick<UpstreamContext, "io">;
  /** How many endpoints it has. */
  counted(): number;
  isEndpoint(endpoint: Endpoint): boolean;
  /** An endpoint was held back for what happened here, not elsewhere. */
  ejected(endpoint: Endpoint): void;
  /** Who takes part in balancing is to be worked out anew. */
  changed(): void;
}

/**
 * Outlier detection of one cluster: failures in a row hold an endpoint back for a while. Every worker counts its own failures; what one of
 * them holds back all do.
 * @see envoy.config.cluster.v3.OutlierDetection
 */
export class Outliers {
  readonly #spec: OutlierSpec | undefined;
  readonly #owner: OutlierOwner;
  #stopped = false;
  /** Endpoints held back now. */
  ejected = 0;

  constructor(spec: OutlierSpec | undefined, owner: OutlierOwner) {
    this.#spec = spec;
    this.#owner = owner;
  }

  /** One outcome; `status` 0 = no response because of the network. */
  record(endpoint: Endpoint, status: number): void {
    const outlier = this.#spec;
    if (outlier === undefined) return;
    const local = status === 0;
    if (!local && status < 500) {
      endpoint.consecutive5xx = 0;
      endpoint.consecutiveGateway = 0;
      endpoint.consecutiveLocal = 0;
      return;
    }
    if (local && outlier.splitExternalLocalOriginErrors) {
      if (hit(++endpoint.consecutiveLocal, outlier.consecutiveLocalOriginFailure)) this.#eject(endpoint, outlier);
      return;
    }
    endpoint.consecutive5xx++;
    if (local || (status >= 502 && status <= 504)) endpoint.consecutiveGateway++;
    else endpoint.consecutiveGateway = 0;
    if (
      hit(endpoint.consecutive5xx, outlier.consecutive5xx) ||
      hit(endpoint.consecutiveGateway, outlier.consecutiveGatewayFailure)
    ) {
      this.#eject(endpoint, outlier);
    }
  }

  #eject(endpoint: Endpoint, outlier: OutlierSpec): void {
    if (endpoint.ejected || this.#stopped) return;
    endpoint.consecutive5xx = 0;
    endpoint.consecutiveGateway = 0;
    endpoint.consecutiveLocal = 0;
    // At least one may always be ejected, whatever the share says.
    const allowed = Math.max(1, Math.floor((this.#owner.counted() * outlier.maxEjectionPercent) / 100));
    if (this.ejected >= allowed) return;
    this.#owner.ejected(endpoint);
    this.holdBack(endpoint);
  }

  /** From now on, as often as it happened the longer. */
  holdBack(endpoint: Endpoint): void {
    const outlier = this.#spec;
    if (outlier === undefined || endpoint.ejected || this.#stopped) return;
    this.ejected++;
    endpoint.ejected = true;
    endpoint.ejections++;
    this.#owner.changed();
    const back = this.#owner.context.io.wheel.timer(() => {
      if (!endpoint.ejected || !this.#owner.isEndpoint(endpoint)) return;
      endpoint.ejected = false;
      this.ejected--;
      this.#owner.changed();
    });
    back.arm(outlier.baseEjectionMs * endpoint.ejections);
  }

  /** It is no endpoint of the cluster any more. */
  forget(endpoint: Endpoint): void {
    if (endpoint.ejected) this.ejected--;
  }

  /** The cluster is out of force. */
  stop(): void {
    this.#stopped = true;
  }
}

function hit(count: number, limit: number): boolean {
  return limit > 0 && count >= limit;
}
