import { type Clock, sleep } from "@lateen/kernel";
import type { ControlPlane } from "./control/control-plane.ts";
import type { SupervisorOptions } from "./options.ts";
import type { PodRegistryFile } from "./pod/registry.ts";
import type { PodView } from "./pod/types.ts";
import type { PodSet } from "./pod-set.ts";
import { isSettled } from "./syncz.ts";

const POLL_MS = 40;

/** Whose proxies they are, and who knows how far they are. */
export interface PropagationMesh {
  readonly controlPlane: Pick<ControlPlane, "read">;
  readonly pods: Pick<PodSet, "serving">;
}

interface Waiter {
  readonly version: string;
  readonly until: number;
  readonly resolve: (reached: boolean) => void;
}

/** Asks the control plane how far the registry's states have come; once for all who wait. */
export class Propagation {
  readonly #mesh: PropagationMesh;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #waiters = new Set<Waiter>();
  #asking = false;

  /** @param signal ends all waiting. */
  constructor(mesh: PropagationMesh, clock: Clock, signal: AbortSignal) {
    this.#mesh = mesh;
    this.#clock = clock;
    this.#signal = signal;
  }

  /**
   * Waits until every proxy runs this state of the registry or a later one.
   * @param version the state's `metadata.resourceVersion`.
   * @returns false when that was not so within `limitMs`, or the signal came.
   */
  reached(version: string, limitMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiters.add({ version, until: this.#clock.monotonic() + limitMs, resolve });
    if (!this.#asking) void this.#ask();
    return promise;
  }

  /**
   * Resolves when every proxy runs the registry with these pods, and after `deregisterMs` at the earliest; without an ack after
   * `deregisterLimitMs`.
   */
  async deregistered(
    registry: Pick<PodRegistryFile, "write" | "version">,
    pods: readonly PodView[],
    limits: Pick<SupervisorOptions, "deregisterMs" | "deregisterLimitMs">,
  ): Promise<void> {
    const least = sleep(this.#clock, limits.deregisterMs ?? 500, this.#signal).catch(() => undefined);
    // Whoever writes after every change tells of a file that cannot be written.
    await registry.write(pods).catch(() => undefined);
    await this.reached(registry.version, limits.deregisterLimitMs ?? 5_000);
    await least;
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    while (this.#waiters.size > 0) {
      const answer = await this.#mesh.controlPlane.read("/debug/syncz").catch(() => undefined);
      const now = this.#clock.monotonic();
      for (const waiter of this.#waiters) {
        const reached = isSettled(answer, waiter.version, this.#mesh.pods.serving());
        if (!reached && now < waiter.until && !this.#signal.aborted) continue;
        this.#waiters.delete(waiter);
        waiter.resolve(reached);
      }
      if (this.#waiters.size > 0) await sleep(this.#clock, POLL_MS, this.#signal).catch(() => undefined);
    }
    this.#asking = false;
  }
}
