import type { Route4 } from "../listener/listener.ts";
import { AutoPool } from "./auto-pool.ts";
import type { Breaker } from "./breaker.ts";
import type { Endpoint } from "./endpoint.ts";
import { Http2Pool } from "./http2-pool.ts";
import { EndpointPool } from "./pool.ts";
import type { RequestPool } from "./request-pool.ts";

/** The pools of an endpoint; where connections begin with a PROXY line, those for one client's connection. */
export class EndpointPools {
  readonly #endpoint: Endpoint;
  readonly #breaker: Breaker;
  readonly #client: Route4 | undefined;
  readonly #http1: EndpointPool;
  #http2: Http2Pool | undefined = undefined;
  #auto: AutoPool | undefined = undefined;

  constructor(endpoint: Endpoint, breaker: Breaker, client: Route4 | undefined) {
    this.#endpoint = endpoint;
    this.#breaker = breaker;
    this.#client = client;
    this.#http1 = new EndpointPool(endpoint, breaker, client);
  }

  /** By what the cluster speaks, where that follows the client by what the client speaks. */
  poolFor(clientSpeaksHttp2: boolean, upgrade: boolean): RequestPool {
    const { protocol = "http1" } = this.#endpoint.cluster.spec;
    switch (protocol) {
      case "http1":
        return this.#http1;
      case "downstream":
        return clientSpeaksHttp2 && !upgrade ? this.http2 : this.#http1;
      case "http2":
        return this.http2;
      case "auto":
        if (upgrade) return this.#http1;
        this.#auto ??= this.#newAuto();
        return this.#auto;
    }
  }

  #newAuto(): AutoPool {
    const pools = { http1: this.#http1, http2: () => this.http2 };
    return new AutoPool(this.#endpoint, this.#breaker, pools, this.#client);
  }

  get http2(): Http2Pool {
    this.#http2 ??= new Http2Pool(this.#endpoint, this.#breaker, this.#client);
    return this.#http2;
  }

  get peerPrincipal(): string | undefined {
    return this.#http2?.peerPrincipal ?? this.#http1.peerPrincipal;
  }

  get connectionCount(): number {
    return this.#http1.connectionCount + (this.#http2?.connectionCount ?? 0);
  }

  retire(): void {
    this.#http1.retire();
    this.#http2?.retire();
  }

  destroy(): void {
    this.#http1.destroy();
    this.#http2?.destroy();
    this.#auto?.destroy();
  }
}

/** Clients whose connections are kept apart at most; those that were quiet for longest lose theirs first. */
const MAX_CLIENTS = 256;

/** Pools by client: a connection that began with one client's addresses carries nobody else's requests. */
export class ClientPools {
  readonly #endpoint: Endpoint;
  readonly #pools = new Map<string, EndpointPools>();
  /** Out of use, with requests under way. */
  readonly #leaving = new Set<EndpointPools>();

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  of(client: Route4, breaker: Breaker): EndpointPools {
    const { sourceAddress, sourcePort, destinationAddress, destinationPort } = client;
    const priority = breaker === this.#endpoint.cluster.breaker ? "" : "high|";
    const key = `${priority}${sourceAddress}|${sourcePort}|${destinationAddress}|${destinationPort}`;
    const pools = this.#pools.get(key) ?? new EndpointPools(this.#endpoint, breaker, client);
    this.#pools.delete(key);
    this.#pools.set(key, pools);
    if (this.#pools.size > MAX_CLIENTS) this.#dropOldest();
    return pools;
  }

  #dropOldest(): void {
    for (const pools of this.#leaving) if (pools.connectionCount === 0) this.#leaving.delete(pools);
    const [oldest] = this.#pools;
    if (oldest === undefined) return;
    this.#pools.delete(oldest[0]);
    oldest[1].retire();
    this.#leaving.add(oldest[1]);
  }

  *all(): Iterable<EndpointPools> {
    yield* this.#pools.values();
    yield* this.#leaving;
  }
}
