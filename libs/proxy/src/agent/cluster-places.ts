import type { PlanDelta } from "../config/plan.ts";
import { clearCluster, clearWorker, MAX_SHARED_CLUSTERS, sharedLoadMemory } from "../upstream/shared-load.ts";

/** Which place of the memory of loads belongs to which cluster. A place is given again when no worker can write there any more. */
export class ClusterPlaces {
  readonly memory: SharedArrayBuffer;
  readonly #places = new Map<string, number>();
  readonly #free: number[] = [];
  #next = 0;

  constructor(workers: number) {
    this.memory = sharedLoadMemory(workers);
  }

  /** Places of the clusters that a delta brings. Clusters beyond {@link MAX_SHARED_CLUSTERS} get none. */
  of({ clusters }: Pick<PlanDelta, "clusters">): Readonly<Record<string, number>> {
    const places: Record<string, number> = {};
    for (const { name } of clusters) {
      const place =
        this.#places.get(name) ?? this.#free.pop() ?? (this.#next < MAX_SHARED_CLUSTERS ? this.#next++ : undefined);
      if (place === undefined) continue;
      this.#places.set(name, place);
      places[name] = place;
    }
    return places;
  }

  /** Every worker has taken these out of force, or is gone. */
  release(clusters: readonly string[]): void {
    for (const name of clusters) {
      const place = this.#places.get(name);
      if (place === undefined) continue;
      this.#places.delete(name);
      clearCluster(this.memory, place);
      this.#free.push(place);
    }
  }

  /** Gives back what a dead worker had. */
  lost(worker: number): void {
    clearWorker(this.memory, worker);
  }
}
