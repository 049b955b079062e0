import { createRegistry } from "@lateen/telemetry";

/** What the injector counts, under Istio's names. */
export class InjectorMetrics {
  readonly #registry = createRegistry();
  readonly #requests = this.#registry.counter({
    name: "sidecar_injection_requests_total",
    help: "Pods that the injector was asked about.",
  });
  readonly #successes = this.#registry.counter({
    name: "sidecar_injection_success_total",
    help: "Pods that got a sidecar.",
  });
  readonly #failures = this.#registry.counter({
    name: "sidecar_injection_failure_total",
    help: "Pods and requests that were refused.",
  });
  readonly #skips = this.#registry.counter({
    name: "sidecar_injection_skip_total",
    help: "Pods that get no sidecar, by what decided it.",
    labels: ["reason"],
  });
  readonly #reloads = this.#registry.counter({
    name: "sidecar_injector_config_reloads_total",
    help: "New injection configurations, by whether they are in force.",
    labels: ["result"],
  });

  answered(outcome: "injected" | "refused" | { readonly skipped: string }): void {
    this.#requests.add();
    if (outcome === "injected") this.#successes.add();
    else if (outcome === "refused") this.#failures.add();
    else this.#skips.add({ reason: outcome.skipped });
  }

  reloaded(result: "accepted" | "rejected"): void {
    this.#reloads.add({ result });
  }

  exposition(): string {
    return this.#registry.exposition();
  }
}
