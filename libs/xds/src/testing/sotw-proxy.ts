import { xdsTypes } from "../resource-types.ts";
import type { SotwPeer } from "./sotw-peer.ts";

const { cluster, endpoint, listener, route } = xdsTypes;

/** A proxy that keeps what it is given, type by type, as Envoy does; it refuses responses whose text says `bad`. */
export class SotwProxy {
  readonly held = new Map<string, Map<string, string>>([
    [cluster, new Map()],
    [endpoint, new Map()],
    [listener, new Map()],
    [route, new Map()],
  ]);
  readonly #peer: SotwPeer;
  readonly #wanted = new Map<string, ReadonlySet<string>>();

  constructor(peer: SotwPeer) {
    this.#peer = peer;
    peer.subscribe("C");
    peer.subscribe("L");
  }

  /** Takes over one response; false when there was none. */
  step(): boolean {
    const response = this.#peer.takeOne();
    if (response === undefined) return false;
    const { type, entries } = response;
    if (entries.some(([, text]) => text.includes("bad"))) {
      this.#peer.answer(type, "bad");
      return true;
    }
    this.#keep(type, entries);
    this.#peer.answer(type);
    return true;
  }

  #keep(type: string, entries: readonly (readonly [string, string])[]): void {
    switch (type) {
      case "C":
        this.held.set(cluster, new Map(entries));
        this.#want(
          "E",
          endpoint,
          entries.map(([name]) => name),
        );
        break;
      case "L":
        this.held.set(listener, new Map(entries));
        this.#want(
          "R",
          route,
          entries.map(([, text]) => (JSON.parse(text) as { readonly route: string }).route),
        );
        break;
      default:
        this.#merge(type === "E" ? endpoint : route, entries);
    }
  }

  /** Of types that list only what changed; what was let go while it was on its way is ignored. */
  #merge(typeUrl: string, entries: readonly (readonly [string, string])[]): void {
    const taken = entries.filter(([name]) => this.#wanted.get(typeUrl)?.has(name));
    this.held.set(typeUrl, new Map([...(this.held.get(typeUrl) ?? []), ...taken]));
  }

  #want(type: string, typeUrl: string, names: readonly string[]): void {
    const wanted = new Set(names);
    this.#wanted.set(typeUrl, wanted);
    this.held.set(typeUrl, new Map([...(this.held.get(typeUrl) ?? [])].filter(([name]) => wanted.has(name))));
    this.#peer.resubscribe(type, [...wanted]);
  }
}
