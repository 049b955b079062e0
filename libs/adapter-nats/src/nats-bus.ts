import { type Clock, type Logger, type Random, type Scope, silentLogger, systemClock } from "@lateen/kernel";
import type { Bus, EventTopic, StateDelta, StateTopic } from "@lateen/ports";
import { badName, noCodec, notPublisher } from "./errors.ts";
import { exposition } from "./metrics.ts";
import type { NatsCredentials, NatsTls } from "./socket/credentials.ts";
import { Link } from "./socket/link.ts";
import { NatsEventTopic } from "./topics/event-topic.ts";
import type { FollowingParts, TopicParts, ValueCodec, WatchDirectly } from "./topics/parts.ts";
import { StatePublisher } from "./topics/publisher.ts";
import { StateSubscriber } from "./topics/subscriber.ts";

export interface NatsBusOptions {
  /** `nats://HOST:PORT` or `tls://HOST:PORT`; tried in turn, for ever. */
  readonly servers: readonly string[];
  /** What the server's own pages call this client. */
  readonly name: string;
  /** Meshes on one server are kept apart by it. Letters, digits, `-`, `_`. */
  readonly mesh: string;
  readonly credentials?: NatsCredentials | undefined;
  readonly tls?: NatsTls | undefined;
  /** How the values of each topic travel. */
  // biome-ignore lint/suspicious/noExplicitAny: a topic's type is an agreement between its publisher and its watchers -- the bus only carries it
  readonly codecs: Readonly<Record<string, ValueCodec<any>>>;
  /** Carries what arrives to the watchers and subscribers of this process, bounded. It must be this bus's own. */
  readonly local: Bus;
  /** Fencing token of the lease by which this process may publish state. Left out: it only follows. */
  readonly epoch?: number;
  /** How to ask the publisher of a topic itself while NATS is away. Left out: what is in force stays. */
  // biome-ignore lint/suspicious/noExplicitAny: as for codecs -- see there
  readonly direct?: Readonly<Record<string, WatchDirectly<any>>>;
  /** Of a topic that is followed only in part: the keys whose values are read and handed on. */
  readonly wanted?: Readonly<Record<string, (key: string) => boolean>>;
  /** Copies of each bucket that we make, in a cluster of servers. Default 1. */
  readonly replicas?: number;
  /** Most bytes of a bucket that we make. Default 1 GiB. */
  readonly maxBytes?: number;
  readonly scope: Scope;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/** How a state topic fares, for status and metrics. */
export interface StateFacts {
  readonly topic: string;
  /** Where followers have it from: the bucket, or the publisher itself. */
  readonly feed: "bucket" | "direct" | undefined;
  /** Following: it is what the publisher says is in force. Publishing: the bucket is what was published. */
  readonly current: boolean;
  /** Publishing: somebody with a larger fencing token leads. */
  readonly fenced: boolean;
  readonly revision: number | undefined;
}

export interface NatsBus extends Bus {
  readonly connected: boolean;
  /** Why not. */
  readonly failure: string | undefined;
  states(): readonly StateFacts[];
  /** Resolves once the server has taken everything that was said so far, such as subscriptions. @throws (rejects) without a connection. */
  flush(): Promise<void>;
  /** Prometheus text, format 0.0.4. */
  metrics(): string;
}

/**
 * The bus between processes: keyed state in a bucket of NATS JetStream, events over core NATS. Returns at once and connects by itself, for
 * ever. NATS is a carrier and never the only copy: a publisher keeps what it published and repairs the bucket whatever becomes of it; a
 * follower keeps what it has, and asks the publisher itself where `direct` says how.
 * @throws LTN6202 for an address that is none, LTN6203 for a name that cannot be used.
 */
export function natsBus(options: NatsBusOptions): NatsBus {
  const clock = options.clock ?? systemClock();
  const random = options.random ?? { next: () => Math.random() };
  const logger = (options.logger ?? silentLogger).child({ component: "nats" });
  const mesh = checkedName(options.mesh);
  const { servers, name, credentials, tls, scope } = options;
  const link = new Link({ servers, name, credentials, tls, scope, clock, random, logger });
  const states = new Map<string, NatsStateTopic<unknown>>();
  const events = new Map<string, NatsEventTopic<unknown>>();
  const partsOf = (topic: string): TopicParts => ({
    name: topic,
    bucket: `lateen-${mesh}-${checkedName(topic)}`,
    beatSubject: `lateen.${mesh}.beat.${topic}`,
    size: { replicas: options.replicas ?? 1, maxBytes: options.maxBytes ?? 1024 ** 3 },
    ...{ link, scope, clock, random, logger },
  });
  const codecOf = (topic: string): ValueCodec<unknown> => {
    const codec = options.codecs[topic];
    if (codec === undefined) throw noCodec(topic);
    return codec;
  };
  return {
    get connected() {
      return link.connection !== undefined;
    },
    get failure() {
      return link.failure;
    },
    state<T>(topic: string): StateTopic<T> {
      let found = states.get(topic);
      if (found === undefined) {
        const { local, epoch, direct, wanted } = options;
        const sides = { local, epoch, direct: direct?.[topic], wanted: wanted?.[topic] };
        found = new NatsStateTopic(partsOf(topic), codecOf(topic), sides);
        states.set(topic, found);
      }
      return found as unknown as StateTopic<T>;
    },
    events<T>(topic: string): EventTopic<T> {
      let found = events.get(topic);
      if (found === undefined) {
        const subject = `lateen.${mesh}.events.${checkedName(topic)}`;
        const local = <E>(inner: string) => options.local.events<E>(inner);
        found = new NatsEventTopic({ name: topic, subject, link, scope, clock, logger, local }, codecOf(topic));
        events.set(topic, found);
      }
      return found as unknown as EventTopic<T>;
    },
    states: () => [...states.values()].map((topic) => topic.facts()),
    async flush() {
      if (link.connection === undefined) throw new Error(link.failure ?? "there is no connection yet");
      await link.connection.flush();
    },
    metrics: () =>
      exposition({
        connected: link.connection !== undefined,
        connections: link.connections,
        states: [...states.values()].map((topic) => topic.facts()),
        events: [...events].map(([topic, { emitted, received, dropped }]) => ({ topic, emitted, received, dropped })),
      }),
  };
}

interface StateSides<T> extends FollowingParts<T> {
  readonly epoch: number | undefined;
}

/** Either side begins when it is first used. */
class NatsStateTopic<T> implements StateTopic<T> {
  readonly #parts: TopicParts;
  readonly #codec: ValueCodec<T>;
  readonly #sides: StateSides<T>;
  #publisher: StatePublisher<T> | undefined;
  #subscriber: StateSubscriber<T> | undefined;

  constructor(parts: TopicParts, codec: ValueCodec<T>, sides: StateSides<T>) {
    this.#parts = parts;
    this.#codec = codec;
    this.#sides = sides;
  }

  /** @throws (rejects) LTN6206 without an epoch, LTN6207 when a value is too large. */
  async publish(delta: StateDelta<T>): Promise<void> {
    const { epoch } = this.#sides;
    if (epoch === undefined) throw notPublisher(this.#parts.name);
    this.#publisher ??= new StatePublisher(this.#parts, this.#codec, epoch);
    this.#publisher.publish(delta);
  }

  watch(scope: Scope, receive: (delta: StateDelta<T>) => void): void {
    this.#subscriber ??= new StateSubscriber(this.#parts, this.#codec, this.#sides);
    this.#subscriber.watch(scope, receive);
  }

  facts(): StateFacts {
    const { settled, fenced, revision } = this.#publisher ?? {};
    return {
      topic: this.#parts.name,
      feed: this.#subscriber?.feed,
      current: this.#subscriber?.current ?? settled ?? false,
      fenced: fenced ?? false,
      revision: this.#subscriber?.revision ?? revision,
    };
  }
}

function checkedName(text: string): string {
  if (!/^[-\w]{1,64}$/.test(text)) throw badName(text);
  return text;
}
