import { type Clock, ok } from "@lateen/kernel";
import { DiscoveryRequest, type DiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import type { ServerStream } from "../server/server-stream.ts";
import { createSotwSession } from "../server/sotw-session.ts";
import type { StreamSource } from "../types.ts";
import { letterOf, short } from "./delta-peer.ts";

/** The client's end of one state-of-the-world stream, message by message. */
export class SotwPeer {
  readonly stream: ServerStream<DiscoveryRequest>;
  readonly #inbox: DiscoveryResponse[] = [];
  readonly #names = new Map<string, readonly string[]>();
  readonly #nonce = new Map<string, string>();
  readonly #version = new Map<string, string>();
  #nodeSent = false;
  closed: { readonly code: number; readonly message: string } | undefined;

  constructor(source: StreamSource, clock: Clock) {
    this.stream = createSotwSession({
      transport: {
        send: (response) => {
          this.#inbox.push(response);
          return true;
        },
        close: (code, message) => {
          this.closed = { code, message };
        },
      },
      admit: () => ok(source),
      clock,
    });
  }

  /** Sets the complete list of names of a type; asks. */
  subscribe(type: string, names: readonly string[] = []): void {
    this.#names.set(type, names);
    this.answer(type);
  }

  /** Acknowledges, or refuses, the last response that was taken of a type. */
  answer(type: string, refusal?: string, nonce = this.#nonce.get(type) ?? ""): void {
    const request = DiscoveryRequest.fromPartial({
      typeUrl: short[type] ?? type,
      resourceNames: [...(this.#names.get(type) ?? [])],
      responseNonce: nonce,
      versionInfo: this.#version.get(type) ?? "",
      ...(refusal === undefined ? {} : { errorDetail: { code: 3, message: refusal } }),
      ...(this.#nodeSent ? {} : { node: { id: "n" } }),
    });
    this.#nodeSent = true;
    this.stream.receive(request);
  }

  /** Takes what arrived, as `C a@1 b@1`, not answered. */
  take(): readonly string[] {
    return this.#inbox.splice(0).map((response) => {
      const type = letterOf(response.typeUrl);
      this.#nonce.set(type, response.nonce);
      this.#version.set(type, response.versionInfo);
      return [type, ...response.resources.map(({ value }) => Buffer.from(value ?? []).toString())].join(" ");
    });
  }

  /** Takes over the oldest response that arrived, as names and texts of resources; it is not answered yet. */
  takeOne(): { readonly type: string; readonly entries: readonly (readonly [string, string])[] } | undefined {
    const response = this.#inbox.shift();
    if (response === undefined) return undefined;
    const type = letterOf(response.typeUrl);
    this.#nonce.set(type, response.nonce);
    this.#version.set(type, response.versionInfo);
    return {
      type,
      entries: response.resources.map(({ typeUrl, value }) => [typeUrl, Buffer.from(value ?? []).toString()] as const),
    };
  }

  /** Sets the complete list of names, if it differs. */
  resubscribe(type: string, names: readonly string[]): void {
    const before = this.#names.get(type);
    if (before !== undefined && before.join() === names.join()) return;
    if (before !== undefined || names.length > 0) this.subscribe(type, names);
  }

  /** Takes and acknowledges until nothing more comes. */
  drain(): readonly string[] {
    const all: string[] = [];
    for (let taken = this.take(); taken.length > 0; taken = this.take()) {
      all.push(...taken);
      for (const one of taken) this.answer(one.slice(0, 1));
    }
    return all;
  }
}
