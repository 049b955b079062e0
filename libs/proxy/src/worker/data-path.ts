import { hostname } from "node:os";
import type { AskOriginalDestination } from "@lateen/capture";
import { type Clock, messageOf } from "@lateen/kernel";
import { LogChunks } from "../access-log/log-chunks.ts";
import { LogSinks } from "../access-log/sinks.ts";
import type { HttpFilterRuntime, NetworkFilterRuntime } from "../chain/spi.ts";
import type { PlanDelta } from "../config/plan.ts";
import { BrokenConnections } from "../explain/broken-connections.ts";
import { RECENT_REQUESTS, RecentRequests } from "../explain/recent-requests.ts";
import { HeadPool } from "../http1/head.ts";
import type { IoBackend } from "../io/backend.ts";
import { IoLoop } from "../io/io-loop.ts";
import { type Lookup, Resolver } from "../io/resolver.ts";
import type { Terminals } from "../listener/chain.ts";
import { connectionIds } from "../listener/connection-ids.ts";
import { Destinations } from "../listener/destinations.ts";
import { ExplicitProxy } from "../listener/explicit-proxy.ts";
import { httpOverTcp } from "../listener/http-over-tcp.ts";
import { Listener, type ListenerServices } from "../listener/listener.ts";
import { ListenerTable } from "../listener/listener-table.ts";
import { HttpConnectionManager } from "../router/connection-manager.ts";
import { ClusterCounters } from "../stats/cluster-counters.ts";
import { SharedCells } from "../stats/shared-cells.ts";
import { Slots } from "../stats/slots.ts";
import { TcpProxy } from "../tcp/tcp-proxy.ts";
import { TlsContexts } from "../tls/contexts.ts";
import { flushSpans } from "../tracing/tracer.ts";
import type { PeerNote } from "../upstream/peers.ts";
import { Downstreams } from "./downstreams.ts";
import { Intake } from "./intake.ts";
import { captureSources, destinationMapper } from "./own-addresses.ts";
import { Peers } from "./peers.ts";
import { PlanStore, type PreparedPlan } from "./plan-store.ts";
import type { ApplyFailure, FromWorker, Inspected, WorkerBootstrap } from "./protocol.ts";
import { reportClusters, reportListeners } from "./report.ts";
import { Sockets, wantedSockets } from "./sockets.ts";
import type { WorkerContext } from "./state.ts";

/** A delta waits so long for names that are looked up for the first time. */
const MAX_WARMING_MS = 1000;

export interface DataPathOptions {
  readonly bootstrap: WorkerBootstrap;
  readonly httpFilters: readonly HttpFilterRuntime[];
  readonly networkFilters: readonly NetworkFilterRuntime[];
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly lookup: Lookup;
  /** Default: portable. */
  readonly backend?: IoBackend;
  /** Where redirected connections were sent to; needed where the kernel captures. */
  readonly askOriginalDestination?: AskOriginalDestination | undefined;
  readonly post: (message: FromWorker) => void;
}

/**
 * The data path of one worker: everything between its listening sockets and its upstreams. Configuration comes in deltas, each
 * applied as a whole; connections live on through them.
 */
export class DataPath {
  readonly #options: DataPathOptions;
  readonly #io: IoLoop;
  readonly #context: WorkerContext & { draining: boolean };
  readonly #plan: PlanStore;
  readonly #table = new ListenerTable();
  readonly #sockets: Sockets;
  readonly #downstreams: Downstreams;
  readonly #intake: Intake;
  readonly #proxy: ExplicitProxy;
  readonly #services: ListenerServices;
  /** Absent: there is only this worker. */
  readonly #peers: Peers | undefined;
  #queue: Promise<void> = Promise.resolve();

  constructor(options: DataPathOptions) {
    const { bootstrap, clock, random, lookup, backend, post } = options;
    this.#options = options;
    const io = new IoLoop(clock, backend);
    this.#io = io;
    const heads = new HeadPool();
    const tls = new TlsContexts();
    const stats = this.#makeStats();
    const resolver = new Resolver(lookup, clock);
    const resolve = (host: string): Promise<readonly string[]> => resolver.resolve(host);
    this.#sockets = new Sockets(io, bootstrap.workers > 1, (connection, use) => this.#intake.accept(connection, use));
    const mapDestination = destinationMapper(bootstrap.capture, (...asked) => this.#sockets.isOwn(...asked));
    this.#peers = bootstrap.workers > 1 ? new Peers(bootstrap, post) : undefined;
    this.#plan = new PlanStore(
      {
        io,
        heads,
        tls,
        random,
        lookup: (question, maxAgeMs) => resolver.ask(question, maxAgeMs),
        mapDestination: (address, port, direction) => mapDestination({ address, port }, direction),
        sources: (direction) => captureSources(bootstrap.capture, direction),
        counters: (cluster) => new ClusterCounters(stats, cluster),
        peers: this.#peers,
      },
      tls,
    );
    this.#context = {
      io,
      heads,
      clock,
      random,
      bootstrap,
      plan: this.#plan,
      filters: byName(options.httpFilters),
      networkFilters: byName(options.networkFilters),
      stats,
      cells: new SharedCells(bootstrap.cells),
      logs: new LogSinks({
        ...{ wheel: io.wheel, environment: logEnvironment(bootstrap), post },
        chunks: new LogChunks(bootstrap.logs),
      }),
      recent: new RecentRequests(bootstrap.recentRequests ?? RECENT_REQUESTS, () => io.wheel.now()),
      broken: new BrokenConnections(bootstrap.recentRequests ?? RECENT_REQUESTS),
      nextConnectionId: connectionIds(random),
      shared: new Map(),
      draining: false,
    };
    this.#downstreams = new Downstreams(Math.ceil(bootstrap.limits.maxConnections / bootstrap.workers), stats);
    const destinations = new Destinations({
      resolveName: (host) => this.#plan.resolveName(host),
      resolve,
      capture: bootstrap.capture,
      random,
    });
    const terminals: Terminals = {
      http: (spec, facts) => new HttpConnectionManager(spec, facts, this.#context),
      tcp: (spec, facts) => new TcpProxy(spec, facts, this.#context),
    };
    this.#services = {
      context: this.#context,
      tls,
      terminals,
      replaced: (from, to) => this.#downstreams.replaced(from, to),
    };
    // Traffic that leaves the mesh is counted, too.
    const watching = ["istio.stats"].filter((name) => this.#context.filters.has(name));
    this.#proxy = new ExplicitProxy({
      context: this.#context,
      table: this.#table,
      destinations,
      httpOverTcp: (spec, facts) => terminals.http(httpOverTcp(spec, watching), facts),
    });
    this.#intake = new Intake({
      io,
      table: this.#table,
      downstreams: this.#downstreams,
      destinations,
      proxy: this.#proxy,
      askOriginalDestination: options.askOriginalDestination,
    });
    const defects = stats.counter("lateen_proxy_defects_total", {});
    io.onDefect = (error) => {
      stats.add(defects, 1);
      post({ type: "defect", message: messageOf(error), stack: error instanceof Error ? (error.stack ?? "") : "" });
    };
  }

  #makeStats(): Slots {
    const { bootstrap, post } = this.#options;
    const stats: Slots = new Slots(bootstrap.stats.values, () =>
      queueMicrotask(() => post({ type: "series", series: stats.takeFresh() })),
    );
    return stats;
  }

  /**
   * Puts a delta in force, after those before it, and reports `applied`. Never rejects.
   * @param loads places of its clusters in the memory of loads that workers share.
   */
  apply(delta: PlanDelta, loads: Readonly<Record<string, number>> = {}): Promise<void> {
    this.#queue = this.#queue.then(() =>
      this.#applyNow(delta, loads).catch((error: unknown) => {
        // Nobody may wait for ever for a delta that hit a defect: it counts as refused.
        this.#io.onDefect(error);
        const failures = everything(delta, messageOf(error));
        this.#options.post({ type: "applied", generation: delta.generation, failures, bound: this.#sockets.bound() });
      }),
    );
    return this.#queue;
  }

  async #applyNow(delta: PlanDelta, loads: Readonly<Record<string, number>>): Promise<void> {
    const { post, bootstrap } = this.#options;
    this.#peers?.place(loads);
    const prepared = this.#plan.prepare(delta);
    const failures: ApplyFailure[] = [...prepared.failures];
    const fail = (name: string, reason: string): void => void failures.push({ resource: "listener", name, reason });
    const next = this.#nextListeners(delta, fail);
    const wanted = wantedSockets(specsOf(next.values()), bootstrap);
    await this.#warmed(prepared);
    for (const { owner, reason } of this.#context.draining ? [] : await this.#sockets.prepare(wanted)) {
      fail(owner, reason);
      // The version before, if there was one, stays in force with its own sockets.
      const before = this.#table.get(owner);
      if (before === undefined) next.delete(owner);
      else next.set(owner, before);
    }
    this.#swap(prepared.delta, () => this.#plan.commit(prepared), next);
    post({ type: "applied", generation: delta.generation, failures, bound: this.#sockets.bound() });
  }

  /** Host names of new clusters are looked up before anybody is sent there; slow name servers hold nothing up for long. */
  async #warmed({ clusters }: PreparedPlan): Promise<void> {
    const cold = [...clusters.values()].filter(({ spec }) => spec.discovery.endsWith("Dns"));
    if (cold.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#io.wheel.timer(resolve);
      timer.arm(MAX_WARMING_MS);
      void Promise.all(cold.map((cluster) => cluster.warmed())).then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #swap(delta: PlanDelta, commit: () => void, next: ReadonlyMap<string, Listener>): void {
    const before = [...this.#table.all()];
    this.#io.enter();
    try {
      commit();
      this.#table.replace(next);
      this.#plan.removeOld(delta);
      this.#peers?.forget(delta.removedClusters);
      if (!this.#context.draining) {
        this.#sockets.settle(wantedSockets(specsOf(next.values()), this.#options.bootstrap));
      }
      for (const old of before) {
        const now = next.get(old.spec.name);
        if (now !== old) old.retire(now);
      }
    } finally {
      this.#io.leave();
    }
  }

  #nextListeners(delta: PlanDelta, fail: (name: string, reason: string) => void): Map<string, Listener> {
    const next = new Map<string, Listener>();
    for (const listener of this.#table.all()) next.set(listener.spec.name, listener);
    for (const name of delta.removedListeners) next.delete(name);
    for (const spec of delta.listeners) {
      try {
        next.set(spec.name, new Listener(spec, this.#services, this.#table.get(spec.name)));
      } catch (error) {
        fail(spec.name, messageOf(error));
      }
    }
    return next;
  }

  // ------------------------------------------------------------------ the end

  /** Stops accepting, lets connections end, breaks what is left after `timeoutMs`, reports `drained`. */
  drain(timeoutMs: number): void {
    if (this.#context.draining) return;
    this.#context.draining = true;
    this.#sockets.closeAll();
    flushSpans(this.#context);
    const timer = this.#io.wheel.timer(() => this.#downstreams.destroy());
    let reported = false;
    this.#downstreams.onEmpty = () => {
      if (reported) return;
      reported = true;
      timer.cancel();
      // After the handlers of the last connection have written their log lines.
      queueMicrotask(() => {
        this.#context.logs.flush();
        this.#options.post({ type: "drained" });
      });
    };
    this.#io.enter();
    try {
      this.#proxy.drain();
      for (const listener of this.#table.all()) listener.drain();
    } finally {
      this.#io.leave();
    }
    if (this.#downstreams.size === 0) this.#downstreams.onEmpty();
    else timer.arm(timeoutMs);
  }

  /** Asks endpoints whether they are well from now on, for all workers. */
  probe(): void {
    this.#later(() => {
      this.#peers?.beginProbes();
      for (const cluster of this.#plan.clusters) cluster.beginProbes();
    });
  }

  /** Takes over what another worker found out. It may speak of what a delta brings that is not in force here yet. */
  take(notes: readonly PeerNote[]): void {
    this.#later(() => {
      for (const note of notes) this.#plan.cluster(note.cluster)?.take(note);
    });
  }

  /** After the deltas that came before. */
  #later(work: () => void): void {
    this.#queue = this.#queue.then(() => {
      this.#io.enter();
      try {
        work();
      } catch (error) {
        this.#io.onDefect(error);
      } finally {
        this.#io.leave();
      }
    });
  }

  inspect(what: Exclude<Inspected, "memory">): unknown {
    switch (what) {
      case "listeners":
        return reportListeners(this.#table.all(), this.#sockets.bound());
      case "clusters":
        return reportClusters(this.#plan.clusters);
      case "requests":
        return this.#context.recent.all();
      case "connections":
        return this.#context.broken.all();
    }
  }

  /** Records requests that go well, too, for a while; 0 ends it. */
  keepRequests(forMs: number): void {
    this.#context.recent.keepAll(forMs);
  }

  /** Closes everything at once. */
  close(): void {
    this.#context.draining = true;
    this.#sockets.closeAll();
    this.#downstreams.destroy();
    this.#plan.destroy();
    this.#context.logs.flush();
    this.#io.close();
  }
}

function everything(delta: PlanDelta, reason: string): readonly ApplyFailure[] {
  return [
    ...delta.clusters.map(({ name }) => ({ resource: "cluster" as const, name, reason })),
    ...delta.routes.map(({ name }) => ({ resource: "route" as const, name, reason })),
    ...delta.listeners.map(({ name }) => ({ resource: "listener" as const, name, reason })),
  ];
}

function specsOf(listeners: Iterable<Listener>) {
  return Array.from(listeners, ({ spec }) => spec);
}

function byName<T extends { readonly name: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((entry) => [entry.name, entry]));
}

/** What access-log formats may tell of the process. */
function logEnvironment({ self }: WorkerBootstrap) {
  return { hostname: hostname(), variables: process.env, localPrincipal: self.principal };
}
