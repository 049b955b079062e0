import { isIP } from "node:net";
import type { EndpointSpec, UpstreamTransportSpec } from "../config/plan.ts";
import type { Route4 } from "../listener/listener.ts";
import type { Cluster } from "./cluster.ts";
import { ClientPools, EndpointPools } from "./endpoint-pools.ts";
import { EndpointCheck } from "./health-check.ts";
import type { Http2Pool } from "./http2-pool.ts";
import type { RequestPool } from "./request-pool.ts";

/** What a pool is chosen by besides what is spoken. */
export interface PoolNeeds {
  /** Whose request it is, which connections that begin with a PROXY line tell; undefined: this proxy's own. */
  readonly client?: Route4 | undefined;
  /** Priority HIGH. */
  readonly high?: boolean | undefined;
}

/** One upstream address of one cluster with its connections, its load and its record of failures. */
export class Endpoint {
  spec: EndpointSpec;
  readonly cluster: Cluster;
  /** `address:port` as access logs show it. */
  text: string;
  readonly transport: UpstreamTransportSpec;
  readonly #pools: EndpointPools;
  /** For requests of priority HIGH, whose connections are their own. */
  #high: EndpointPools | undefined = undefined;
  /** Where connections say whose they are. */
  readonly #clients: ClientPools | undefined;
  /** Where connections are really made to. */
  dialAddress: { readonly host: string; readonly port: number };
  /** Requests under way, for least-request. */
  active = 0;
  ejected = false;
  /** It has not said, or not often enough, that it is well. */
  failedCheck: boolean;
  /** It was asked, and the outcome counted. */
  judged = false;
  #check: EndpointCheck | undefined = undefined;
  /** How often in a row it was ejected; lengthens the next ejection. */
  ejections = 0;
  consecutive5xx = 0;
  consecutiveGateway = 0;
  consecutiveLocal = 0;
  /** Share of its weight that a new endpoint has got so far. */
  warmth = 1;
  /** Monotonic milliseconds. */
  readonly createdMs: number;
  /** Slot for whoever caches per-endpoint data (metric series). */
  cache: unknown = undefined;

  /** @param named the host it is, where that decides whom TLS speaks to. */
  constructor(
    spec: EndpointSpec,
    cluster: Cluster,
    dialAddress: { readonly host: string; readonly port: number },
    named?: string,
  ) {
    this.spec = spec;
    this.cluster = cluster;
    this.text = textOf(spec);
    this.dialAddress = dialAddress;
    this.createdMs = cluster.context.io.wheel.now();
    this.transport = addressedTo(named, cluster, transportFor(cluster, spec));
    this.#pools = new EndpointPools(this, cluster.breaker, undefined);
    this.#clients = this.transport.proxyLine === undefined ? undefined : new ClientPools(this);
    this.failedCheck = cluster.spec.healthCheck !== undefined;
  }

  /** The same host at another address: connections there are used on, new ones are made to the new one. */
  relocate(spec: EndpointSpec): void {
    this.spec = spec;
    this.text = textOf(spec);
    this.dialAddress = { host: spec.address, port: spec.port };
  }

  /**
   * The pool for a request: by what the cluster speaks, where that follows the client by what the client speaks.
   */
  poolFor(clientSpeaksHttp2: boolean, upgrade: boolean, { client, high = false }: PoolNeeds = {}): RequestPool {
    let pools = this.#pools;
    if (this.#clients !== undefined && client !== undefined) {
      pools = this.#clients.of(client, this.cluster.breakerOf(high));
    } else if (high) {
      this.#high ??= new EndpointPools(this, this.cluster.breakerOf(true), undefined);
      pools = this.#high;
    }
    return pools.poolFor(clientSpeaksHttp2, upgrade);
  }

  get http2(): Http2Pool {
    return this.#pools.http2;
  }

  /** URI SAN of the peer on the latest TLS connection. */
  get peerPrincipal(): string | undefined {
    for (const pools of this.#all()) if (pools.peerPrincipal !== undefined) return pools.peerPrincipal;
    return undefined;
  }

  get connectionCount(): number {
    let count = 0;
    for (const pools of this.#all()) count += pools.connectionCount;
    return count;
  }

  *#all(): Iterable<EndpointPools> {
    yield this.#pools;
    if (this.#high !== undefined) yield this.#high;
    if (this.#clients !== undefined) yield* this.#clients.all();
  }

  /** Begins to ask it whether it is well, where its cluster does that. `changed` is called when the answer does. */
  watch(changed: () => void): void {
    const { healthCheck } = this.cluster.spec;
    if (healthCheck !== undefined) this.#check ??= new EndpointCheck(this, healthCheck, changed);
  }

  /** Closes idle connections and lets others finish. */
  retire(): void {
    this.#check?.stop();
    for (const pools of this.#all()) pools.retire();
  }

  destroy(): void {
    for (const pools of this.#all()) pools.destroy();
  }

  /** A certificate of ours is presented on its connections. */
  get mutualTls(): boolean {
    return this.transport.kind === "tls" && this.transport.certificateSecret !== undefined;
  }

  get healthy(): boolean {
    return this.spec.healthy && !this.ejected && !this.failedCheck;
  }

  get weight(): number {
    return this.spec.weight * this.warmth;
  }
}

/** The first transport match whose labels the endpoint carries, else the cluster's own transport. */
function transportFor(cluster: Cluster, endpoint: EndpointSpec): UpstreamTransportSpec {
  for (const candidate of cluster.spec.transportMatches) {
    const fits = Object.entries(candidate.match).every(([key, value]) => endpoint.transportSocketMatch[key] === value);
    if (fits) return candidate.transport;
  }
  return cluster.spec.transport;
}

function textOf({ address, port }: EndpointSpec): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** TLS to a host by its name: as the server name, and as one that the certificate must have. */
function addressedTo(
  host: string | undefined,
  { spec }: Cluster,
  transport: UpstreamTransportSpec,
): UpstreamTransportSpec {
  const { autoSni } = spec;
  if (host === undefined || autoSni === undefined || transport.kind !== "tls") return transport;
  const { validation } = transport;
  // An address is no server name, RFC 6066 §3.
  const sni = autoSni.name && isIP(host) === 0 ? host : transport.sni;
  const sans = [{ type: "dns" as const, match: { kind: "exact" as const, value: host, ignoreCase: false } }];
  return { ...transport, sni, validation: autoSni.validate ? { ...validation, sans } : validation };
}
