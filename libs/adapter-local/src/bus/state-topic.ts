import type { Scope } from "@lateen/kernel";
import type { StateDelta, StateEntry, StateTopic } from "@lateen/ports";

/** What waits for one watcher; at most one entry per key. */
interface Pending<T> {
  snapshot: boolean;
  revision: number;
  epoch: number | undefined;
  readonly upserted: Map<string, StateEntry<T>>;
  readonly removed: Set<string>;
}

interface Watcher<T> {
  readonly receive: (delta: StateDelta<T>) => void;
  pending: Pending<T> | undefined;
  scheduled: boolean;
}

/**
 * Last value per key, in memory. Invariant: what a watcher has received, plus its pending delta, is `#entries`; so deltas that
 * it was too slow for are merged and memory is bounded by the number of keys.
 */
export class MemoryStateTopic<T> implements StateTopic<T> {
  readonly #entries = new Map<string, StateEntry<T>>();
  readonly #watchers = new Set<Watcher<T>>();
  readonly #onError: (error: unknown) => void;
  #revision: number | undefined;
  #epoch: number | undefined;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  publish(published: StateDelta<T>): Promise<void> {
    // The first thing that watchers get is everything there is, whatever its publisher calls it.
    const delta = this.#revision === undefined ? { ...published, snapshot: true, removed: [] } : published;
    if (delta.snapshot) this.#entries.clear();
    for (const key of delta.removed) this.#entries.delete(key);
    for (const entry of delta.upserted) this.#entries.set(entry.key, entry);
    this.#revision = delta.revision;
    this.#epoch = delta.epoch;
    for (const watcher of this.#watchers) this.#offer(watcher, delta);
    return Promise.resolve();
  }

  watch(scope: Scope, receive: (delta: StateDelta<T>) => void): void {
    if (scope.signal.aborted) return;
    const watcher: Watcher<T> = { receive, pending: undefined, scheduled: false };
    this.#watchers.add(watcher);
    scope.signal.addEventListener(
      "abort",
      () => {
        this.#watchers.delete(watcher);
        watcher.pending = undefined;
      },
      { once: true },
    );
    if (this.#revision !== undefined) {
      this.#offer(watcher, {
        snapshot: true,
        revision: this.#revision,
        ...(this.#epoch === undefined ? {} : { epoch: this.#epoch }),
        upserted: [...this.#entries.values()],
        removed: [],
      });
    }
  }

  #offer(watcher: Watcher<T>, delta: StateDelta<T>): void {
    watcher.pending = merge(watcher.pending, delta);
    if (watcher.scheduled) return;
    watcher.scheduled = true;
    queueMicrotask(() => this.#deliver(watcher));
  }

  #deliver(watcher: Watcher<T>): void {
    watcher.scheduled = false;
    const pending = watcher.pending;
    if (!pending) return;
    watcher.pending = undefined;
    try {
      watcher.receive({
        snapshot: pending.snapshot,
        revision: pending.revision,
        ...(pending.epoch === undefined ? {} : { epoch: pending.epoch }),
        upserted: [...pending.upserted.values()],
        removed: [...pending.removed],
      });
    } catch (error) {
      this.#onError(error);
    }
  }
}

function merge<T>(waiting: Pending<T> | undefined, delta: StateDelta<T>): Pending<T> {
  const pending =
    waiting && !delta.snapshot
      ? waiting
      : {
          snapshot: delta.snapshot,
          revision: delta.revision,
          epoch: delta.epoch,
          upserted: new Map(),
          removed: new Set<string>(),
        };
  pending.revision = delta.revision;
  pending.epoch = delta.epoch;
  for (const key of delta.removed) {
    pending.upserted.delete(key);
    // A snapshot names what there is; what is not named is gone.
    if (!pending.snapshot) pending.removed.add(key);
  }
  for (const entry of delta.upserted) {
    pending.removed.delete(entry.key);
    pending.upserted.set(entry.key, entry);
  }
  return pending;
}
