import type { Scope } from "@lateen/kernel";
import type { EventTopic } from "@lateen/ports";

interface Subscriber<T> {
  readonly receive: (event: T) => void;
  readonly group: string | undefined;
  queue: T[];
  scheduled: boolean;
}

/** Lossy events, in memory: a queue per subscriber, bounded; what does not fit is dropped and counted. */
export class MemoryEventTopic<T> implements EventTopic<T> {
  readonly #subscribers = new Set<Subscriber<T>>();
  readonly #bound: number;
  readonly #onError: (error: unknown) => void;
  #dropped = 0;

  constructor(bound: number, onError: (error: unknown) => void) {
    this.#bound = bound;
    this.#onError = onError;
  }

  get dropped(): number {
    return this.#dropped;
  }

  emit(event: T): void {
    const groups = new Set<string>();
    for (const subscriber of this.#subscribers) {
      const { group } = subscriber;
      if (group !== undefined) {
        if (groups.has(group)) continue;
        groups.add(group);
        // Whose turn it was goes to the end, so that members take turns.
        this.#subscribers.delete(subscriber);
        this.#subscribers.add(subscriber);
      }
      if (subscriber.queue.length >= this.#bound) {
        this.#dropped++;
        continue;
      }
      subscriber.queue.push(event);
      if (subscriber.scheduled) continue;
      subscriber.scheduled = true;
      queueMicrotask(() => this.#deliver(subscriber));
    }
  }

  subscribe(scope: Scope, receive: (event: T) => void, group?: string): void {
    if (scope.signal.aborted) return;
    const subscriber: Subscriber<T> = { receive, group, queue: [], scheduled: false };
    this.#subscribers.add(subscriber);
    scope.signal.addEventListener(
      "abort",
      () => {
        this.#subscribers.delete(subscriber);
        subscriber.queue = [];
      },
      { once: true },
    );
  }

  #deliver(subscriber: Subscriber<T>): void {
    subscriber.scheduled = false;
    const events = subscriber.queue;
    subscriber.queue = [];
    for (const event of events) {
      if (!this.#subscribers.has(subscriber)) return;
      try {
        subscriber.receive(event);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}
