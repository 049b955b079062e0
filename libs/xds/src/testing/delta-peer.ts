import { type Clock, ok } from "@lateen/kernel";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { xdsTypes } from "../resource-types.ts";
import { createDeltaSession } from "../server/delta-session.ts";
import type { ServerStream } from "../server/server-stream.ts";
import type { StreamLimits, StreamSource } from "../types.ts";

/** Short names of types in tests. */
export const short: Readonly<Record<string, string>> = {
  C: xdsTypes.cluster,
  E: xdsTypes.endpoint,
  L: xdsTypes.listener,
  R: xdsTypes.route,
};

export const letterOf = (typeUrl: string) => Object.keys(short).find((key) => short[key] === typeUrl) ?? typeUrl;

export function deltaRequest(fields: Partial<DeltaDiscoveryRequest>): DeltaDiscoveryRequest {
  return {
    typeUrl: "",
    resourceNamesSubscribe: [],
    resourceNamesUnsubscribe: [],
    resourceLocatorsSubscribe: [],
    resourceLocatorsUnsubscribe: [],
    initialResourceVersions: {},
    responseNonce: "",
    ...fields,
  };
}

/** `C +a@1 -b`: type, resources, removed names. */
export function describeResponse(response: DeltaDiscoveryResponse): string {
  return [
    letterOf(response.typeUrl),
    ...response.resources.map(({ name, version }) => `+${name}@${version}`),
    ...response.removedResources.map((name) => `-${name}`),
  ].join(" ");
}

/** The client's end of one delta stream, message by message. */
export class DeltaPeer {
  readonly stream: ServerStream<DeltaDiscoveryRequest>;
  /** Responses not looked at yet. */
  readonly #inbox: DeltaDiscoveryResponse[] = [];
  readonly #lastNonce = new Map<string, string>();
  #nodeSent = false;
  closed: { readonly code: number; readonly message: string } | undefined;
  /** What `send` answers. */
  writable = true;
  settled: number[] = [];

  constructor(source: StreamSource, clock: Clock, limits: Partial<StreamLimits> = {}) {
    this.stream = createDeltaSession({
      transport: {
        send: (response) => {
          this.#inbox.push(response);
          return this.writable;
        },
        close: (code, message) => {
          this.closed = { code, message };
        },
      },
      admit: () => ok(source),
      clock,
      limits,
      observer: { settled: (revision) => this.settled.push(revision) },
    });
  }

  send(fields: Partial<DeltaDiscoveryRequest>): void {
    const node = this.#nodeSent ? {} : { node: { id: "n" } as NonNullable<DeltaDiscoveryRequest["node"]> };
    this.#nodeSent = true;
    this.stream.receive(deltaRequest({ ...fields, ...node }));
  }

  /** Subscribes; an empty list is the implicit wildcard. */
  subscribe(type: string, names: readonly string[] = [], held: Readonly<Record<string, string>> = {}): void {
    this.send({ typeUrl: short[type] ?? type, resourceNamesSubscribe: [...names], initialResourceVersions: held });
  }

  unsubscribe(type: string, names: readonly string[]): void {
    this.send({ typeUrl: short[type] ?? type, resourceNamesUnsubscribe: [...names] });
  }

  /** Takes what arrived since the last look, not answered. */
  take(): readonly string[] {
    return this.#inbox.splice(0).map((response) => {
      this.#lastNonce.set(response.typeUrl, response.nonce);
      return describeResponse(response);
    });
  }

  /** Answers the last response that was taken of a type. */
  answer(type: string, refusal?: string): void {
    const typeUrl = short[type] ?? type;
    this.send({
      typeUrl,
      responseNonce: this.#lastNonce.get(typeUrl) ?? "",
      ...(refusal === undefined ? {} : { errorDetail: { code: 3, message: refusal, details: [] } }),
    });
  }

  /** Takes and acknowledges until nothing more comes; everything that came, in order. */
  drain(): readonly string[] {
    const all: string[] = [];
    for (let taken = this.take(); taken.length > 0; taken = this.take()) {
      all.push(...taken);
      for (const one of taken) this.answer(one.slice(0, 1));
    }
    return all;
  }
}
