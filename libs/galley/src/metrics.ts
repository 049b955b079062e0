import { createRegistry } from "@lateen/telemetry";
import type { GalleyState } from "./draft.ts";

/** What galley counts. */
export class GalleyMetrics {
  readonly #registry = createRegistry();
  readonly #passed = this.#registry.counter({
    name: "galley_validation_passed",
    help: "Objects accepted, new or changed.",
    labels: ["kind"],
  });
  readonly #failed = this.#registry.counter({
    name: "galley_validation_failed",
    help: "Documents not accepted.",
    labels: ["kind"],
  });
  readonly #storeFailures = this.#registry.counter({
    name: "galley_store_failures_total",
    help: "Changes that could not be stored and were not put in force.",
  });
  readonly #objects = this.#registry.gauge({
    name: "galley_objects",
    help: "Objects in force.",
    labels: ["kind"],
  });
  readonly #rejected = this.#registry.gauge({
    name: "galley_rejected_objects",
    help: "Documents of watched files that are not in force, by whether an earlier version serves.",
    labels: ["last_good_serves"],
  });
  readonly #revision = this.#registry.gauge({ name: "galley_revision", help: "Grows with every change in force." });
  readonly #kinds = new Set<string>();
  #passedCount = 0;
  #failedCount = 0;
  #storeFailureCount = 0;

  get passed(): number {
    return this.#passedCount;
  }
  get failed(): number {
    return this.#failedCount;
  }
  get storeFailures(): number {
    return this.#storeFailureCount;
  }

  accepted(kind: string): void {
    this.#passedCount++;
    this.#passed.add({ kind });
  }

  /** @param kind empty when the document does not say. */
  refused(kind: string): void {
    this.#failedCount++;
    this.#failed.add({ kind: kind === "" ? "unknown" : kind });
  }

  storeFailed(): void {
    this.#storeFailureCount++;
    this.#storeFailures.add();
  }

  exposition(state: GalleyState): string {
    const counts = new Map<string, number>([...this.#kinds].map((kind) => [kind, 0]));
    for (const { object } of state.objects.values()) counts.set(object.kind, (counts.get(object.kind) ?? 0) + 1);
    for (const [kind, count] of counts) {
      // A kind of which none is left goes to zero rather than away.
      this.#kinds.add(kind);
      this.#objects.set(count, { kind });
    }
    const served = state.rejected.filter((rejected) => rejected.lastGoodServes).length;
    this.#rejected.set(served, { last_good_serves: "true" });
    this.#rejected.set(state.rejected.length - served, { last_good_serves: "false" });
    this.#revision.set(state.revision);
    return this.#registry.exposition();
  }
}
