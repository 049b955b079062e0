import { type Clock, ok, Scope, silentLogger } from "@lateen/kernel";
import type { AdsClientEvents } from "@lateen/ports";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { createXdsClient, type XdsClient } from "../client/delta-client.ts";
import type { ApplyFailure, XdsUpdate } from "../client/update.ts";
import { xdsTypes } from "../resource-types.ts";
import { createDeltaSession } from "../server/delta-session.ts";
import type { ServerStream } from "../server/server-stream.ts";
import type { EncodedResource, StreamSource } from "../types.ts";

const { cluster, endpoint, listener, route } = xdsTypes;

/** Clusters by name, routes with the clusters they use, listeners with the route they use. The number is a version. */
export interface World {
  readonly clusters: Readonly<Record<string, string>>;
  readonly endpoints: Readonly<Record<string, string>>;
  readonly routes: Readonly<Record<string, { readonly version: string; readonly clusters: readonly string[] }>>;
  readonly listeners: Readonly<Record<string, { readonly version: string; readonly route: string }>>;
}

/** A source over a world that can be swapped. Type URLs of bodies are names, for clients that see no other. */
export class WorldSource implements StreamSource {
  #revision = 1;
  #maps = new Map<string, ReadonlyMap<string, EncodedResource>>();

  set(world: World): void {
    this.#revision++;
    const encode = (entries: readonly (readonly [string, string])[]) =>
      new Map(
        entries.map(([name, text]) => [
          name,
          { name, version: text, any: { typeUrl: name, value: Buffer.from(text) } },
        ]),
      );
    this.#maps = new Map([
      [cluster, encode(Object.entries(world.clusters))],
      [endpoint, encode(Object.entries(world.endpoints))],
      [route, encode(Object.entries(world.routes).map(([name, value]) => [name, JSON.stringify(value)]))],
      [listener, encode(Object.entries(world.listeners).map(([name, value]) => [name, JSON.stringify(value)]))],
    ]);
  }

  revision(): number {
    return this.#revision;
  }

  resources(typeUrl: string, names?: ReadonlySet<string>): ReadonlyMap<string, EncodedResource> {
    const all = this.#maps.get(typeUrl) ?? new Map();
    return names === undefined ? all : new Map([...all].filter(([name]) => names.has(name)));
  }
}

/**
 * One proxy and its server, joined by a wire that carries a message when told to. The proxy is a real client whose state outlives its
 * streams; it refuses resources whose text says `bad`.
 */
export class Simulation {
  readonly held = new Map<string, Map<string, string>>();
  readonly #source: StreamSource;
  readonly #clock: Clock;
  readonly #scope = new Scope();
  readonly #client: XdsClient;
  #events: AdsClientEvents | undefined;
  #server: ServerStream<DeltaDiscoveryRequest> | undefined;
  #toServer: DeltaDiscoveryRequest[] = [];
  #toClient: DeltaDiscoveryResponse[] = [];
  #full = false;
  /** Set when the server ended the stream. */
  ended: string | undefined;

  constructor(source: StreamSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
    this.#client = createXdsClient({
      node: Node.fromPartial({ id: "n" }),
      scope: this.#scope,
      logger: silentLogger,
      connect: (_scope, events) => {
        this.#events = events;
        return { send: (request) => void this.#toServer.push(request) };
      },
      onUpdate: async (update) => this.#apply(update),
    });
    this.#client.subscribe(cluster, "*");
    this.#client.subscribe(listener, "*");
  }

  connect(): void {
    if (this.#server !== undefined) return;
    this.#full = false;
    this.#server = createDeltaSession({
      transport: {
        send: (response) => {
          this.#toClient.push(response);
          return !this.#full;
        },
        close: (code, message) => {
          this.ended = `${code} ${message}`;
        },
      },
      admit: () => ok(this.#source),
      clock: this.#clock,
      limits: { responseBytes: 60, requestBurst: 1e6 },
    });
    this.#events?.opened();
  }

  disconnect(): void {
    if (this.#server === undefined) return;
    this.#server.closed();
    this.#server = undefined;
    this.#toServer = [];
    this.#toClient = [];
    this.#events?.disconnected("cut");
  }

  /** The server's side of the wire fills up, or drains. */
  setFull(full: boolean): void {
    this.#full = full;
    if (!full) this.#server?.drained();
  }

  push(): void {
    this.#server?.push();
  }

  /** Time for the client to ask for all its types is over; not before it said what it has to say. */
  introduced(): void {
    if (this.#toServer.length === 0) this.#server?.introduced();
  }

  /** One message each way, if there is one; false when there was none. */
  async step(direction: "toServer" | "toClient"): Promise<boolean> {
    if (direction === "toServer") {
      const request = this.#toServer.shift();
      if (request === undefined) return false;
      this.#server?.receive(request);
    } else {
      const response = this.#toClient.shift();
      if (response === undefined) return false;
      this.#events?.received(response);
    }
    // The client answers in later microtasks.
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
    return true;
  }

  /** Carries messages until nobody has any. */
  async quiesce(): Promise<void> {
    while ((await this.step("toServer")) || (await this.step("toClient"))) {
      // Both queues are worked off.
    }
  }

  get clean(): boolean {
    return this.#server?.status().clean ?? false;
  }

  /** Clusters that a live route uses and that are not there. */
  missingClusters(): readonly string[] {
    const clusters = this.held.get(cluster);
    const missing: string[] = [];
    for (const [name, text] of this.held.get(route) ?? []) {
      const { clusters: used } = JSON.parse(text) as World["routes"][string];
      for (const one of used) if (!clusters?.has(one)) missing.push(`${name} → ${one}`);
    }
    return missing;
  }

  #apply(update: XdsUpdate): readonly ApplyFailure[] {
    const held = this.held.get(update.typeUrl) ?? new Map<string, string>();
    this.held.set(update.typeUrl, held);
    const failures: ApplyFailure[] = [];
    for (const { name, any } of update.upserted) {
      const text = Buffer.from(any.value).toString();
      if (text.includes("bad")) failures.push({ name, reason: "bad" });
      else held.set(name, text);
    }
    for (const name of update.removed) held.delete(name);
    if (update.typeUrl === cluster) this.#want(endpoint, [...held.keys()]);
    if (update.typeUrl === listener) {
      this.#want(
        route,
        [...held.values()].map((text) => (JSON.parse(text) as World["listeners"][string]).route),
      );
    }
    return failures;
  }

  #want(typeUrl: string, names: readonly string[]): void {
    this.#client.subscribe(typeUrl, names);
    const held = this.held.get(typeUrl);
    for (const name of held?.keys() ?? []) if (!names.includes(name)) held?.delete(name);
  }
}
