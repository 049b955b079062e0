import type { Scope } from "@lateen/kernel";

/** One keyed value as it travels. `revision` grows with every change the publisher made. */
export interface StateEntry<T> {
  readonly key: string;
  readonly value: T;
  readonly revision: number;
}

/** A change of keyed state. A `snapshot` replaces everything the receiver holds. */
export interface StateDelta<T> {
  readonly snapshot: boolean;
  readonly revision: number;
  /**
   * Fencing token of the publisher's lease, where publishers can follow one another: a delta of a smaller epoch is never newer, whatever its
   * revision. Left out: there is no order beside the revision.
   */
  readonly epoch?: number;
  readonly upserted: readonly StateEntry<T>[];
  readonly removed: readonly string[];
}

/** Last value per key. One publisher; any number of watchers, each of which gets a snapshot first, then every delta in order. */
export interface StateTopic<T> {
  /** Resolves once the delta is taken over. Calls are applied in order. */
  publish(delta: StateDelta<T>): Promise<void>;
  /**
   * Watches from now on until the scope closes. Before the first publish the watcher gets nothing.
   * A slow watcher gets merged deltas, never an unbounded queue.
   */
  watch(scope: Scope, receive: (delta: StateDelta<T>) => void): void;
}

/** Lossy messages: delivered to current subscribers at most once; a full subscriber drops and counts. */
export interface EventTopic<T> {
  emit(event: T): void;
  /** @param group of all subscribers that name the same group, also in other processes, each event reaches one. */
  subscribe(scope: Scope, receive: (event: T) => void, group?: string): void;
  /** Events that this process knows were lost: a subscriber was full, or what carries them could not take them. */
  readonly dropped: number;
}

/** How components that may run apart share state and events. Request/response is gRPC, never the bus. */
export interface Bus {
  state<T>(name: string): StateTopic<T>;
  events<T>(name: string): EventTopic<T>;
}
