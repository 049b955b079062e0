import type { TLSSocket } from "node:tls";
import { xxHash64 } from "@lateen/traffic";
import type { ConnectionLogFacts } from "../access-log/facts.ts";
import type { NetworkVerdict } from "../chain/spi.ts";
import type { BrokenKind } from "../explain/connection-record.ts";
import { noteBroken, upstreamRecord } from "../explain/make-connection-record.ts";
import type { ResetReason } from "../http/streams.ts";
import type { Connection, ConnectionHandler } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { addressText, type ConnectionInfo } from "../listener/connection-info.ts";
import { parseSubjectAltName } from "../tls/names.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { connectEndpoint } from "../upstream/connect.ts";
import type { Endpoint } from "../upstream/endpoint.ts";
import { type TcpParties, type TcpSeries, workloadOfPrincipal } from "./tcp-metrics.ts";
import type { TcpChain } from "./tcp-proxy.ts";
import { Tunnel, type TunnelEnd } from "./tunnel.ts";

/** What a client may send before its upstream is there; then it is paused. */
const MAX_EARLY_BYTES = 256 * 1024;

/**
 * One proxied connection.
 * ## connecting (attempts, client paused) → tunnel → closed; connecting → closed when no upstream can be had
 */
export class TcpSession implements ConnectionHandler {
  readonly #chain: TcpChain;
  readonly #client: Connection;
  readonly #info: ConnectionInfo;
  readonly #startedAt: number;
  readonly #startTimeMs: number;
  readonly #tried: Endpoint[] = [];
  #attempts = 0;
  #clusterName = "";
  #cluster: Cluster | undefined = undefined;
  #endpoint: Endpoint | undefined = undefined;
  #upstream: Connection | undefined = undefined;
  #tunnel: Tunnel | undefined = undefined;
  #upstreamPrincipal: string | undefined = undefined;
  #upstreamLocalAddress = "";
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #received = 0;
  #sent = 0;
  #series: TcpSeries | undefined = undefined;
  #flags = "";
  #failure = "";
  #details = "";
  /** How its latest attempt failed. */
  #outcome = "";
  /** Why the proxy ended it; undefined: it did not. */
  #broken: BrokenKind | undefined = undefined;
  #verdict: NetworkVerdict | undefined = undefined;
  #done = false;

  constructor(chain: TcpChain, client: Connection, info: ConnectionInfo) {
    this.#chain = chain;
    this.#client = client;
    this.#info = info;
    const { wheel } = client.io;
    this.#startedAt = wheel.now();
    this.#startTimeMs = wheel.wallNow();
    client.handler = this;
  }

  start(clusterName: string): void {
    this.#clusterName = clusterName;
    this.#limitAge();
    this.#cluster = this.#chain.context.plan.cluster(clusterName);
    if (this.#cluster === undefined) this.#fail("NC");
    else this.#connect(this.#cluster);
  }

  #limitAge(): void {
    const { maxDurationMs = 0 } = this.#chain.spec;
    if (maxDurationMs === 0) return;
    this.#ageTimer = this.#client.io.wheel.timer(() => {
      this.#flags = "DT";
      this.#details = "max_duration_timeout";
      this.#broken = "timeout";
      this.destroy();
    });
    this.#ageTimer.arm(maxDurationMs);
  }
  #ageTimer: WheelTimer | undefined = undefined;

  refuse(verdict: NetworkVerdict): void {
    this.#clusterName = this.#chain.spec.clusters[0]?.cluster ?? "";
    this.#details = verdict.details;
    this.#verdict = verdict;
    this.#broken = "policy";
    this.#client.closeGracefully();
    this.#finish();
  }

  destroy(): void {
    if (this.#tunnel !== undefined) this.#tunnel.destroy("upstream");
    else this.#client.destroy();
  }

  // ------------------------------------------------------------------ connecting

  #connect(cluster: Cluster): void {
    const endpoint = this.#pick(cluster);
    if (endpoint === undefined) {
      this.#fail("UH");
      return;
    }
    if (cluster.breaker.connectionsFull) {
      cluster.counters.connectionOverflow();
      this.#fail("UO");
      return;
    }
    this.#attempts++;
    this.#tried.push(endpoint);
    this.#endpoint = endpoint;
    cluster.connectionOpened();
    const { host, port } = endpoint.dialAddress;
    this.#upstream = connectEndpoint(
      endpoint,
      { host, port },
      { speaks: "any", client: this.#info },
      {
        ready: (upstream) => this.#connected(cluster, endpoint, upstream),
        failed: (reason, detail) => this.#attemptFailed(cluster, endpoint, reason, detail),
      },
    );
  }

  /** Counts as seldom as was asked for. */
  #reportLater(what: "received" | "sent", count: number): void {
    this.#unreported[what] += count;
    this.#reportTimer ??= this.#client.io.wheel.timer(() => this.#report());
    if (!this.#reportTimer.armed) this.#reportTimer.arm(this.#chain.spec.metrics?.tcpReportingMs ?? 0);
  }
  #reportTimer: WheelTimer | undefined = undefined;
  readonly #unreported = { received: 0, sent: 0 };

  #report(): void {
    const series = this.#series;
    if (series === undefined) return;
    const { metrics } = this.#chain;
    metrics.add(series.received, this.#unreported.received);
    metrics.add(series.sent, this.#unreported.sent);
    this.#unreported.received = 0;
    this.#unreported.sent = 0;
  }

  #pick(cluster: Cluster): Endpoint | undefined {
    if (cluster.spec.discovery !== "originalDst")
      return cluster.pick({ tried: this.#tried, attempts: 3, hash: this.#hash() });
    return cluster.originalDestination(this.#info.destinationAddress, this.#info.destinationPort);
  }

  /** One client address, one endpoint, where that is asked for. */
  #hash(): bigint | undefined {
    if (!this.#chain.spec.hashSourceIp) return undefined;
    return xxHash64(Buffer.from(this.#info.sourceAddress));
  }

  #attemptFailed(cluster: Cluster, endpoint: Endpoint, reason: ResetReason, detail: string): void {
    cluster.connectionClosed();
    if (this.#done) return;
    cluster.counters.connectFail();
    cluster.record(endpoint, 0);
    this.#upstream = undefined;
    this.#failure = detail;
    this.#outcome = reason;
    if (this.#attempts < Math.max(1, this.#chain.spec.maxConnectAttempts)) this.#connect(cluster);
    else this.#fail(reason === "overflow" ? "UO" : this.#attempts > 1 ? "UF,URX" : "UF");
  }

  #connected(cluster: Cluster, endpoint: Endpoint, upstream: Connection): void {
    if (this.#done) {
      cluster.connectionClosed();
      upstream.destroy();
      return;
    }
    cluster.record(endpoint, 200);
    endpoint.active++;
    this.#upstream = upstream;
    this.#failure = "";
    this.#outcome = "";
    const { localAddress, localPort } = upstream.socket;
    if (localAddress !== undefined) this.#upstreamLocalAddress = addressText(localAddress, localPort ?? 0);
    if (upstream.secure) this.#upstreamPrincipal = principalOf(upstream);
    const { metrics } = this.#chain;
    const series = metrics.series(this.#parties(), "", () => this.#facts());
    this.#series = series;
    metrics.add(series.opened, 1);
    const batched = (this.#chain.spec.metrics?.tcpReportingMs ?? 0) > 0;
    this.#tunnel = new Tunnel(this.#client, upstream, this.#chain.spec.idleTimeoutMs, {
      moved: (fromClient, count) => {
        if (fromClient) {
          this.#received += count;
          if (batched) this.#reportLater("received", count);
          else metrics.add(series.received, count);
        } else {
          this.#sent += count;
          if (batched) this.#reportLater("sent", count);
          else metrics.add(series.sent, count);
        }
      },
      closed: (end) => {
        endpoint.active--;
        cluster.connectionClosed();
        this.#ended(end);
      },
    });
    const early = this.#early;
    this.#early = [];
    for (const bytes of early) this.#client.handler.onBytes(bytes, 0, bytes.length);
    if (this.#client.ended) this.#client.handler.onEnd();
    if (!upstream.congested) this.#client.resume();
  }

  // ------------------------------------------------------------------ the client while there is no upstream

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.#early.push(Buffer.from(bytes.subarray(start, end)));
    this.#earlyBytes += end - start;
    if (this.#earlyBytes >= MAX_EARLY_BYTES) this.#client.pause();
  }

  onEnd(): void {}
  onDrain(): void {}

  onClose(): void {
    if (this.#done) return;
    if (this.#flags === "") this.#details = "downstream closed before an upstream was connected";
    if (this.#flags === "") this.#flags = "DC";
    this.#finish();
    // Its outcome tells the cluster that the connection is gone.
    this.#upstream?.destroy();
  }

  // ------------------------------------------------------------------ the end

  #fail(flags: string): void {
    this.#flags = flags;
    this.#broken = "upstream";
    this.#finish();
    this.#client.reset();
  }

  #ended(end: TunnelEnd): void {
    if (this.#flags === "DT") this.#details = "max_duration_timeout";
    else if (end === "idle") this.#brokenBy("timeout", "idle_timeout");
    else if (end === "clientReset") this.#details = "downstream connection was reset";
    else if (end === "upstreamReset") this.#brokenBy("upstream", "upstream connection was reset");
    this.#finish();
  }

  #brokenBy(kind: BrokenKind, details: string): void {
    this.#broken = kind;
    this.#details = details;
  }

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#ageTimer?.cancel();
    this.#reportTimer?.cancel();
    this.#report();
    this.#early = [];
    this.#chain.ended(this);
    this.#count();
    if (!this.#chain.log.empty) this.#chain.log.write(this.#facts());
    if (this.#broken !== undefined) this.#note(this.#broken);
  }

  #note(kind: BrokenKind): void {
    const { context, facts, spec } = this.#chain;
    const broken = {
      ...{ kind, info: this.#info, place: facts, startTimeMs: this.#startTimeMs },
      ...{ flags: this.#flags, details: this.#details },
      durationMs: this.#client.io.wheel.now() - this.#startedAt,
      because: this.#verdict?.because,
      candidates: this.#verdict?.candidates,
      ...{ bytesReceived: this.#received, bytesSent: this.#sent, cluster: this.#clusterName },
    };
    noteBroken(context.broken, broken, () =>
      kind === "policy"
        ? {}
        : {
            upstream: upstreamRecord({
              ...{ name: this.#clusterName, cluster: this.#cluster, endpoint: this.#endpoint, spec },
              ...{ attempts: this.#attempts, outcome: this.#outcome, failure: this.#failure },
            }),
          },
    );
  }

  #count(): void {
    const { metrics } = this.#chain;
    const opened = this.#series;
    const seriesNow = () => metrics.series(this.#parties(), this.#flags, () => this.#facts());
    if (opened === undefined) {
      const series = seriesNow();
      metrics.add(series.opened, 1);
      metrics.add(series.closed, 1);
      return;
    }
    const closing = this.#flags === "" ? opened : seriesNow();
    metrics.add(closing.closed, 1);
  }

  #parties(): TcpParties {
    const { direction } = this.#chain.facts;
    return {
      direction,
      clusterName: this.#clusterName,
      cluster: this.#cluster,
      destination: this.#endpoint?.spec.workload,
      peerPrincipal: direction === "inbound" ? this.#info.peer?.principal : this.#upstreamPrincipal,
    };
  }

  #facts(): ConnectionLogFacts {
    const { facts, context } = this.#chain;
    const inbound = facts.direction === "inbound";
    const peerPrincipal = inbound ? this.#info.peer?.principal : this.#upstreamPrincipal;
    const { self } = context.bootstrap;
    return {
      info: this.#info,
      direction: facts.direction,
      startTimeMs: this.#startTimeMs,
      durationMs: this.#client.io.wheel.now() - this.#startedAt,
      bytesReceived: this.#received,
      bytesSent: this.#sent,
      flags: this.#flags,
      terminationDetails: this.#details,
      upstreamCluster: this.#clusterName,
      upstreamHost: this.#endpoint?.text ?? "",
      upstreamLocalAddress: this.#upstreamLocalAddress,
      upstreamFailure: this.#failure,
      source: inbound ? workloadOfPrincipal(peerPrincipal) : self,
      destination: inbound ? self : this.#endpoint?.spec.workload,
      peerPrincipal: peerPrincipal ?? "",
      destinationService: this.#cluster?.spec.destinationService?.host ?? "",
    };
  }
}

function principalOf(connection: Connection): string | undefined {
  const certificate = (connection.socket as TLSSocket).getPeerX509Certificate();
  const { uris } = parseSubjectAltName(certificate?.subjectAltName);
  return uris.length === 1 ? uris[0] : undefined;
}
