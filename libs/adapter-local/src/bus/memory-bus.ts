import { type Logger, messageOf, silentLogger } from "@lateen/kernel";
import type { Bus, EventTopic, StateTopic } from "@lateen/ports";
import { MemoryEventTopic } from "./event-topic.ts";
import { MemoryStateTopic } from "./state-topic.ts";

export interface MemoryBusOptions {
  readonly logger?: Logger;
  /** Events that may wait per subscriber before further ones are dropped. Default 1024. */
  readonly eventQueue?: number;
}

/**
 * The bus inside one process. Receivers run in a later microtask, never inside `publish` or `emit`; one that throws is logged
 * and does not disturb the others.
 */
export function memoryBus(options: MemoryBusOptions = {}): Bus {
  const logger = (options.logger ?? silentLogger).child({ component: "bus" });
  const states = new Map<string, MemoryStateTopic<unknown>>();
  const events = new Map<string, MemoryEventTopic<unknown>>();
  const onError = (topic: string) => (error: unknown) =>
    logger.error({ event: "bus.receiver_failed", topic, error: messageOf(error) });
  return {
    // The type of a topic is an agreement between its publisher and its watchers; the bus only carries it.
    state<T>(name: string): StateTopic<T> {
      let topic = states.get(name);
      if (!topic) {
        topic = new MemoryStateTopic(onError(name));
        states.set(name, topic);
      }
      return topic as unknown as StateTopic<T>;
    },
    events<T>(name: string): EventTopic<T> {
      let topic = events.get(name);
      if (!topic) {
        topic = new MemoryEventTopic(options.eventQueue ?? 1024, onError(name));
        events.set(name, topic);
      }
      return topic as unknown as EventTopic<T>;
    },
  };
}
