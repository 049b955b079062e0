import type { AdsServer, AdsSession, Caller } from "@lateen/ports";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { DeltaDiscoveryRequest, type DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { xdsTypes } from "@lateen/xds";

/** Answers every response at once, and keeps what it is given, as `name@version`. */
export class AutoProxy {
  readonly held = new Map<string, Map<string, string>>();
  closed: { readonly code: number; readonly message: string } | undefined;
  /** Responses so far. */
  received = 0;
  /** Answers nothing while false. */
  answers = true;
  readonly #session: AdsSession<DeltaDiscoveryRequest>;
  readonly #node: Node;
  #first = true;

  constructor(
    ads: AdsServer,
    app = "web",
    caller: Caller = { namespace: "shop", serviceAccount: app, via: "token" },
    metadata: Readonly<Record<string, unknown>> = {},
  ) {
    this.#node = Node.fromPartial({ id: `sidecar~127.64.0.9~${app}-1.shop~shop.svc.cluster.local`, metadata });
    this.#session = ads.openDelta(caller, {
      send: (response) => {
        queueMicrotask(() => this.#received(response));
        return true;
      },
      close: (code, message) => {
        this.closed ??= { code, message };
      },
    });
  }

  /** Asks for clusters and listeners, and for endpoints by name. */
  async subscribe(endpoints: readonly string[] = []): Promise<void> {
    this.send({ typeUrl: xdsTypes.cluster });
    await settle();
    if (endpoints.length > 0) this.send({ typeUrl: xdsTypes.endpoint, resourceNamesSubscribe: [...endpoints] });
    this.send({ typeUrl: xdsTypes.listener });
    await settle();
  }

  send(fields: Partial<DeltaDiscoveryRequest>): void {
    if (this.closed !== undefined) return;
    const request = DeltaDiscoveryRequest.fromPartial(fields);
    this.#session.receive(this.#first ? { ...request, node: this.#node } : request);
    this.#first = false;
  }

  /** `name@version` of what it holds of a type, sorted. */
  list(typeUrl: string): readonly string[] {
    return [...(this.held.get(typeUrl) ?? [])].map(([name, version]) => `${name}@${version}`).sort();
  }

  disconnect(): void {
    this.#session.closed();
  }

  #received(response: DeltaDiscoveryResponse): void {
    this.received++;
    const held = this.held.get(response.typeUrl) ?? new Map<string, string>();
    this.held.set(response.typeUrl, held);
    for (const { name, version } of response.resources) held.set(name, version);
    for (const name of response.removedResources) held.delete(name);
    if (this.answers) this.send({ typeUrl: response.typeUrl, responseNonce: response.nonce });
  }
}

/** Lets everything that is due in microtasks happen. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
