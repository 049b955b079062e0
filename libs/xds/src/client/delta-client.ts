import { type Logger, messageOf, type Scope } from "@lateen/kernel";
import type { AdsClientEvents } from "@lateen/ports";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { DeltaDiscoveryRequest, type DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { HEALTH_TYPE, pushOrder } from "../resource-types.ts";
import { Subscription } from "./subscription.ts";
import type { ApplyFailure, XdsUpdate } from "./update.ts";

export interface XdsClientOptions {
  /** Sent with the first request of every stream; a function is asked anew for every stream. */
  readonly node: Node | (() => Node);
  /** `connectAds` of the adapter, bound to a channel. */
  readonly connect: (scope: Scope, events: AdsClientEvents) => { send(request: DeltaDiscoveryRequest): void };
  readonly scope: Scope;
  /**
   * Takes an update over. Called for one update at a time, in the order of arrival. The resources that are not among the failures
   * count as live; any failure makes the answer a NACK. Throwing fails the whole update.
   */
  readonly onUpdate: (update: XdsUpdate) => Promise<readonly ApplyFailure[]>;
  /** Versions held from before, by type URL and name, e.g. from a last-good store: the server then sends only what differs. */
  readonly initialVersions?: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Told when the stream opens or ends. */
  readonly onConnection?: (connected: boolean, reason: string | undefined) => void;
  readonly logger: Logger;
}

/** A delta ADS client: keeps the subscriptions alive over reconnects and answers every response. */
export interface XdsClient {
  /** Sets what is wanted of a type, replacing what was wanted before; `"*"` is everything, an empty set is nothing. */
  subscribe(typeUrl: string, names: "*" | Iterable<string>): void;
  /** Subscribed names that have been answered neither with a resource nor with its absence yet. Warming waits for these. */
  unanswered(typeUrl: string): readonly string[];
  /** Names and versions that count as live. */
  versions(typeUrl: string): ReadonlyMap<string, string>;
  readonly connected: boolean;
  /** Tells the server how the workload is: now, and again on every new stream. */
  reportHealth(health: ReportedHealth): void;
}

/** What an agent's probe of its workload found. */
export interface ReportedHealth {
  readonly healthy: boolean;
  /** Why it is not. */
  readonly message: string;
}

/** google.rpc.Code INTERNAL, as Istio's agents send it for a workload that is not well. */
const UNHEALTHY_CODE = 13;

/** Opens the stream at once; it lives as long as the scope. */
export function createXdsClient(options: XdsClientOptions): XdsClient {
  const client = new DeltaClient(options);
  client.start();
  return client;
}

class DeltaClient implements XdsClient {
  readonly #options: XdsClientOptions;
  readonly #subscriptions = new Map<string, Subscription>();
  #send: ((request: DeltaDiscoveryRequest) => void) | undefined;
  /** Counts streams: an answer belongs to the stream its response came on. */
  #stream = 0;
  #connected = false;
  #nodeSent = false;
  #work: Promise<void> = Promise.resolve();
  #health: ReportedHealth | undefined;

  constructor(options: XdsClientOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#connected;
  }

  start(): void {
    const { scope } = this.#options;
    const connection = this.#options.connect(scope, {
      opened: () => this.#opened(),
      received: (response) => this.#received(response),
      disconnected: (reason) => this.#disconnected(reason),
    });
    this.#send = (request) => connection.send(request);
    // A connector may report `opened` before it returns.
    if (this.#connected) this.#opened();
  }

  subscribe(typeUrl: string, names: "*" | Iterable<string>): void {
    const known = this.#subscriptions.get(typeUrl);
    const subscription = known ?? new Subscription(typeUrl, this.#options.initialVersions?.get(typeUrl));
    this.#subscriptions.set(typeUrl, subscription);
    const change = subscription.want(names);
    if (!this.#connected || this.#send === undefined) return;
    if (!subscription.requested) this.#request(subscription.firstRequest());
    else if (change.added.length > 0 || change.dropped.length > 0) this.#request(subscription.changeRequest(change));
  }

  unanswered(typeUrl: string): readonly string[] {
    return this.#subscriptions.get(typeUrl)?.unanswered() ?? [];
  }

  versions(typeUrl: string): ReadonlyMap<string, string> {
    return this.#subscriptions.get(typeUrl)?.versions ?? new Map();
  }

  reportHealth(health: ReportedHealth): void {
    this.#health = health;
    // Before the first subscription the server does not know who reports.
    if (this.#connected && this.#nodeSent) this.#sendHealth();
  }

  #sendHealth(): void {
    if (this.#health === undefined) return;
    const { healthy, message } = this.#health;
    this.#request(
      DeltaDiscoveryRequest.fromPartial({
        typeUrl: HEALTH_TYPE,
        ...(healthy ? {} : { errorDetail: { code: UNHEALTHY_CODE, message } }),
      }),
    );
  }

  #opened(): void {
    this.#connected = true;
    if (this.#send === undefined) return;
    this.#stream++;
    this.#nodeSent = false;
    this.#options.onConnection?.(true, undefined);
    const ordered = [...this.#subscriptions.values()].sort((a, b) => pushOrder(a.typeUrl) - pushOrder(b.typeUrl));
    for (const subscription of ordered) this.#request(subscription.firstRequest());
  }

  #disconnected(reason: string): void {
    if (!this.#connected) return;
    this.#connected = false;
    this.#stream++;
    for (const subscription of this.#subscriptions.values()) subscription.requested = false;
    this.#options.onConnection?.(false, reason);
  }

  #request(request: DeltaDiscoveryRequest): void {
    if (this.#nodeSent) {
      this.#send?.(request);
      return;
    }
    this.#nodeSent = true;
    const { node } = this.#options;
    this.#send?.({ ...request, node: typeof node === "function" ? node() : node });
    this.#sendHealth();
  }

  #received(response: DeltaDiscoveryResponse): void {
    const stream = this.#stream;
    // The server keeps one response per type outstanding, so this chain is never longer than the number of types.
    this.#work = this.#work.then(() => this.#process(response, stream));
  }

  async #process(response: DeltaDiscoveryResponse, stream: number): Promise<void> {
    const subscription = this.#subscriptions.get(response.typeUrl);
    if (subscription === undefined || stream !== this.#stream || this.#options.scope.closed) return;
    const update = subscription.read(response);
    const failures = await this.#apply(update);
    subscription.applied(update, failures);
    if (stream !== this.#stream) return;
    this.#request(subscription.answer(response.nonce, failures));
  }

  async #apply(update: XdsUpdate): Promise<readonly ApplyFailure[]> {
    try {
      return await this.#options.onUpdate(update);
    } catch (error) {
      const reason = messageOf(error);
      this.#options.logger.error({ event: "xds.apply_failed", typeUrl: update.typeUrl, reason });
      return update.upserted.map(({ name }) => ({ name, reason }));
    }
  }
}
