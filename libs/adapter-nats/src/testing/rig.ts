import { memoryBus } from "@lateen/adapter-local";
import { err, messageOf, ok, Scope, silentLogger, systemClock } from "@lateen/kernel";
import type { StateDelta } from "@lateen/ports";
import { eventually, natsServerPath } from "@lateen/test-support";
import { type NatsBus, type NatsBusOptions, natsBus } from "../nats-bus.ts";
import type { ValueCodec } from "../topics/parts.ts";

const found = natsServerPath();
/** Why there is no server here; undefined when there is. */
export const noServer = found.path === undefined ? found.reason : undefined;

export const PATIENCE_MS = 60_000;

/** Texts as they are. */
export const textCodec: ValueCodec<string> = {
  encode: (_key, value) => Buffer.from(value),
  decode: (_key, bytes) => {
    try {
      return ok(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch (error) {
      return err(messageOf(error));
    }
  },
};

/** Texts on every topic that is asked for. */
const anyTopic: Readonly<Record<string, ValueCodec<string>>> = new Proxy({}, { get: () => textCodec });

/** A bus as a process of its own would have it; `close` is its end. */
export function startBus(
  server: string,
  options: Partial<NatsBusOptions> & { readonly eventQueue?: number } = {},
): { readonly bus: NatsBus; readonly close: () => Promise<void> } {
  const scope = new Scope();
  const { eventQueue, ...own } = options;
  const bus = natsBus({
    servers: [server],
    name: "test",
    mesh: "test",
    codecs: anyTopic,
    local: memoryBus(eventQueue === undefined ? {} : { eventQueue }),
    scope,
    // Timers that keep the process alive would only hide that something was not closed.
    clock: systemClock(),
    logger: silentLogger,
    ...own,
  });
  return { bus, close: () => scope.close() };
}

/** What a watcher has, kept from what it receives, and every revision it has seen. */
export class Held {
  readonly values = new Map<string, string>();
  readonly revisions: string[] = [];

  readonly receive = (delta: StateDelta<string>): void => {
    if (delta.snapshot) this.values.clear();
    for (const key of delta.removed) this.values.delete(key);
    for (const { key, value } of delta.upserted) this.values.set(key, value);
    const { epoch = 0, revision } = delta;
    this.revisions.push(`${String(epoch).padStart(6, "0")}/${String(revision).padStart(6, "0")}`);
  };

  get bytes(): string {
    return JSON.stringify([...this.values].sort());
  }

  /** It never went back. */
  get monotonic(): boolean {
    return this.revisions.every((one, index) => one >= (this.revisions[index - 1] ?? ""));
  }

  async equals(truth: ReadonlyMap<string, string>, timeoutMs = PATIENCE_MS): Promise<void> {
    const wanted = JSON.stringify([...truth].sort());
    await eventually(
      "the watcher holds what is published",
      async () => this.bytes === wanted || undefined,
      timeoutMs,
      10,
    );
  }
}

/** A publisher's truth. */
export class Source {
  readonly truth = new Map<string, string>();
  readonly #bus: NatsBus;
  readonly #topic: string;
  revision: number;

  constructor(bus: NatsBus, topic: string, revision = 0, truth: ReadonlyMap<string, string> = new Map()) {
    this.#bus = bus;
    this.#topic = topic;
    this.revision = revision;
    for (const [key, value] of truth) this.truth.set(key, value);
  }

  async publish(changes: Readonly<Record<string, string | undefined>>): Promise<void> {
    for (const [key, value] of Object.entries(changes)) {
      if (value === undefined) this.truth.delete(key);
      else this.truth.set(key, value);
    }
    const revision = ++this.revision;
    await this.#bus.state<string>(this.#topic).publish({
      snapshot: true,
      revision,
      upserted: [...this.truth].map(([key, value]) => ({ key, value, revision: 1 })),
      removed: [],
    });
  }

  /** Resolves when what was published lies in the bucket. */
  async settled(): Promise<void> {
    await eventually("it is in the bucket", async () => this.facts?.current || undefined, PATIENCE_MS, 10);
  }

  get facts() {
    return this.#bus.states().find(({ topic }) => topic === this.#topic);
  }
}
