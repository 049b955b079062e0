import type { Read } from "../engine/query-engine.ts";
import { EnvoyMessages } from "../lower/patches/messages.ts";

/** The input cell of what reads Envoy's messages; set once. */
export const MESSAGES_CELL = "envoyMessages";

/** What reads Envoy's messages, made when it is first needed: describing all of them takes a while. */
export class LazyMessages {
  readonly #describe: () => ConstructorParameters<typeof EnvoyMessages>[0];
  #messages: EnvoyMessages | undefined;

  constructor(describe: () => ConstructorParameters<typeof EnvoyMessages>[0]) {
    this.#describe = describe;
  }

  get(): EnvoyMessages {
    this.#messages ??= new EnvoyMessages(this.#describe());
    return this.#messages;
  }
}

/** What reads Envoy's messages. */
export function messagesOf(read: Read): EnvoyMessages {
  return (read.input(MESSAGES_CELL) as LazyMessages).get();
}
