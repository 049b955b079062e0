import { type Logger, messageOf } from "@lateen/kernel";
import { DEFAULT_DOMAIN, type Diagnostic, type MeshConfig, type ResourceKey } from "@lateen/mesh-model";
import { type AcceptedObject, CONFIG_TOPIC } from "@lateen/ports";
import { grpcStatus } from "@lateen/xds";
import type { PilotCompiler } from "./compiler-face.ts";
import { DebugView } from "./debug/debug-view.ts";
import { StatusTimes } from "./debug/status-times.ts";
import { objectNotTakenOver } from "./errors.ts";
import { applyChange } from "./feed/apply-change.ts";
import { Debounce } from "./feed/debounce.ts";
import { followRegistry } from "./feed/follow-registry.ts";
import { KeySets } from "./feed/key-sets.ts";
import { MeshSettings } from "./feed/mesh-settings.ts";
import { World } from "./feed/world.ts";
import { PilotMetrics } from "./metrics.ts";
import { type PilotOptions, withDefaults } from "./options.ts";
import type { Pilot } from "./pilot.ts";
import { PushQueue } from "./push/push-queue.ts";
import { pushReasons } from "./push/push-reasons.ts";
import { PushRound } from "./push/push-round.ts";
import { Revisions } from "./push/revisions.ts";
import { type SyncOutcome, SyncWaits } from "./push/sync-waits.ts";
import { Registrations } from "./registration/registrations.ts";
import { serviceFacts } from "./service-facts.ts";
import { type PilotStatus, type ProxyStatus, proxyStatus } from "./status.ts";
import { AdsFront } from "./streams/ads-front.ts";
import { type Connection, hasSettled } from "./streams/connection.ts";
import { worldFacts } from "./world-facts.ts";

/** How entries of self-registered workloads name who keeps them. */
const CONTROLLER_NAME = "lateen-pilot";

/**
 * Joins the parts: world → debounce → compiler → push queue → streams. Invariant: the compiler holds what the world said at push
 * `#revisions.push`, except for objects in `#unusable`, of which it holds the former version.
 */
export class PilotServer implements Pilot {
  readonly ads: AdsFront;
  readonly debug: DebugView;
  readonly #options: PilotOptions;
  readonly #compiler: PilotCompiler;
  readonly #logger: Logger;
  readonly #metrics = new PilotMetrics();
  readonly #world = new World();
  readonly #settings: MeshSettings;
  readonly #keys: KeySets;
  readonly #revisions = new Revisions();
  readonly #unusable = new Map<ResourceKey | "meshConfig", string>();
  readonly #debounce: Debounce;
  readonly #queue: PushQueue<Connection>;
  /** Streams that are waited for before the next push. */
  readonly #round: PushRound<Connection>;
  readonly #waits: SyncWaits;
  readonly #statusTimes = new StatusTimes();
  readonly #firstSnapshotsMs: number;
  readonly #registrations: Registrations;
  readonly #becameReady = Promise.withResolvers<void>();
  #pushedRegistry: string | undefined;
  #stopped = false;

  constructor(options: PilotOptions, compiler: PilotCompiler) {
    const { debounce, limits, firstSnapshotsMs, registration, keyRefreshMs } = withDefaults(options);
    const { clock } = options;
    this.#options = options;
    this.#compiler = compiler;
    this.#firstSnapshotsMs = firstSnapshotsMs;
    this.#logger = options.logger.child({ component: "pilot" });
    this.#settings = new MeshSettings(options.meshConfig);
    this.#keys = new KeySets({
      documents: options.documents,
      store: options.keySetStore,
      refreshMs: keyRefreshMs,
      clock,
      logger: this.#logger,
      changed: () => this.#changed(),
    });
    this.#debounce = new Debounce(
      clock,
      debounce,
      (since) => this.#takeOver(since),
      () => this.#round.busy,
    );
    this.#round = new PushRound(() => this.#debounce.release());
    this.#waits = new SyncWaits(clock, (revision) => this.#look(revision));
    this.#queue = new PushQueue(clock, (connection) => connection.push());
    this.#registrations = new Registrations({
      writer: options.writer,
      clock,
      logger: this.#logger,
      instance: CONTROLLER_NAME,
      ...registration,
      object: (key) => this.#world.get(key),
      objects: () => this.#world.objects(),
    });
    this.ads = new AdsFront({
      registrations: this.#registrations,
      compiler,
      clock,
      logger: this.#logger,
      metrics: this.#metrics,
      limits,
      notReady: () => this.#notReady(),
      push: () => this.#revisions.push,
      versionInfo: () => `${this.#revisions.config}/${this.#revisions.push}`,
      onChange: () => this.#waits.poke(),
      round: this.#round,
    });
    this.debug = new DebugView({
      world: this.#world,
      ads: this.ads,
      compiler,
      domain: options.domain,
      clusterId: options.clusterId,
      meshConfig: () => this.#settings.current,
      statusTimes: this.#statusTimes,
    });
  }

  get ready(): boolean {
    return this.#revisions.push > 0;
  }

  get pushes(): number {
    return this.#revisions.push;
  }

  get missing(): readonly string[] {
    return this.#world.missing;
  }

  async start(): Promise<void> {
    const { bus, registry, scope, clock } = this.#options;
    scope.defer(() => this.#stop());
    // At once: an HTTP server that answers who waits may have to close before its turn comes.
    scope.signal.addEventListener("abort", () => this.#waits.close(), { once: true });
    bus.state<AcceptedObject>(CONFIG_TOPIC).watch(scope, (delta) => {
      this.#metrics.update("config");
      this.#world.takeConfig(delta);
      this.#changed();
    });
    void followRegistry(registry, { scope, clock, logger: this.#logger }, (delta) => {
      this.#metrics.update("eds");
      this.#world.takeRegistry(delta);
      this.#changed();
    });
    const cancel = clock.after(this.#firstSnapshotsMs, () => this.#becameReady.resolve());
    await this.#becameReady.promise;
    cancel();
    if (!this.ready) this.#logger.warn({ event: "pilot.not_ready", missing: this.missing });
  }

  status(): PilotStatus {
    const statuses = (connections: readonly Connection[]): readonly ProxyStatus[] =>
      connections
        .flatMap((connection) => proxyStatus(connection, this.#revisions.push) ?? [])
        .sort((a, b) => (a.node < b.node ? -1 : 1));
    const proxies = statuses(this.ads.proxies());
    const typeStreams = statuses(this.ads.typeStreams());
    const registryVersion = this.#pushedRegistry;
    return {
      revision: this.#revisions.config,
      ...(registryVersion === undefined ? {} : { registryVersion }),
      ready: this.ready,
      proxies,
      typeStreams,
      warnings: this.#warnings(),
    };
  }

  waitSynced(revision: number, timeoutMs: number): Promise<SyncOutcome> {
    return this.#waits.wait(revision, timeoutMs);
  }

  pushAll(): number {
    if (this.ready && !this.#stopped) this.#takeOver(this.#options.clock.monotonic());
    return this.ads.proxies().length;
  }

  metrics(): string {
    const refusing = new Map<string, number>();
    for (const { status } of this.ads.proxies()) {
      for (const [typeUrl, { nack }] of Object.entries(status().types)) {
        if (nack !== undefined) refusing.set(typeUrl, (refusing.get(typeUrl) ?? 0) + 1);
      }
    }
    const { domain = DEFAULT_DOMAIN } = this.#options;
    const world = worldFacts(this.#world.objects(), domain);
    const services = serviceFacts(this.#world.objects(), domain);
    return this.#metrics.exposition({ world, services, refusing, compiler: this.#compiler.stats?.() });
  }

  #notReady(): string | undefined {
    if (this.#stopped) return "the control plane is shutting down";
    return this.ready ? undefined : `not ready: waiting for ${this.missing.join(" and ")}`;
  }

  #changed(): void {
    if (this.#stopped || !this.#world.complete) return;
    if (!this.ready) {
      // Proxies that were served before keep the keys they have until these are there, or cannot be had.
      this.#keys.update({ upserted: [...this.#world.objects()], removed: [] });
      if (!this.#keys.settled) return;
    }
    this.#debounce.poke();
    // The first world need not wait for more: it is what was stored.
    if (!this.ready) this.#debounce.flush();
  }

  #takeOver(sinceMs: number): void {
    const { clock } = this.#options;
    const began = clock.monotonic();
    const change = this.#world.take();
    this.#keys.update(change);
    const meshConfig = this.#settings.refresh(this.#world);
    this.#apply(change, meshConfig);
    const status = (key: ResourceKey) => this.#compiler.status?.(key);
    this.#statusTimes.observe(change, status, new Date(clock.now()).toISOString());
    this.#revisions.next(this.#world.configRevision ?? 0);
    this.#pushedRegistry = this.#world.registryVersion;
    const reasons = pushReasons(change, meshConfig !== undefined);
    this.#metrics.triggered(reasons, began - sinceMs, clock.monotonic() - began);
    const connections = [...this.ads.connections];
    this.#logger.debug({
      event: "push.started",
      revision: this.#revisions.config,
      push: this.#revisions.push,
      upserted: change.upserted.length,
      removed: change.removed.length,
      proxies: connections.length,
    });
    const queuedAt = clock.monotonic();
    for (const connection of connections) {
      connection.changedSince ??= sinceMs;
      connection.untoldSince ??= sinceMs;
      connection.queuedAt ??= queuedAt;
    }
    // Those that never had everything yet take their time.
    this.#round.begin(connections.filter(({ progress }) => progress().settledRevision !== undefined));
    this.#queue.add(connections);
    this.#waits.poke();
    this.#registrations.start();
    this.#becameReady.resolve();
  }

  #apply(change: ReturnType<World["take"]>, meshConfig: MeshConfig | undefined): void {
    const before = new Map(this.#unusable);
    for (const key of change.removed) this.#unusable.delete(key);
    for (const { kind, metadata } of change.upserted) {
      this.#unusable.delete(`${kind}/${metadata.namespace}/${metadata.name}` as ResourceKey);
    }
    if (meshConfig !== undefined) this.#unusable.delete("meshConfig");
    const settings = { ...(meshConfig === undefined ? {} : { meshConfig }), keySets: this.#keys.take() };
    for (const [what, reason] of applyChange(this.#compiler, change, settings)) {
      this.#unusable.set(what, reason);
      this.#metrics.internalError();
      if (before.get(what) !== reason) this.#logger.error({ event: "compile.object_refused", object: what, reason });
    }
    for (const { path, message } of this.#settings.problems) {
      this.#logger.warn({ event: "mesh_config.rejected", path, message });
    }
  }

  #look(revision: number): SyncOutcome {
    const push = this.#revisions.pushOf(revision);
    const laggards: string[] = [];
    for (const connection of this.ads.proxies()) {
      const { proxy } = connection;
      if (proxy === undefined) continue;
      if (push === undefined || !hasSettled(connection, push))
        laggards.push(`${proxy.node.pod}.${proxy.node.namespace}`);
    }
    return { synced: push !== undefined && laggards.length === 0, laggards: laggards.sort() };
  }

  #warnings(): readonly Diagnostic[] {
    const own = [...this.#unusable].map(([object, reason]) => objectNotTakenOver(object, reason));
    try {
      const compiled = this.#compiler.warnings().map((warning) => this.#placed(warning));
      return [...own, ...this.#settings.problems, ...this.#keys.problems(), ...compiled];
    } catch (error) {
      this.#logger.error({ event: "compile.warnings_failed", reason: messageOf(error) });
      return [...own, ...this.#settings.problems, ...this.#keys.problems()];
    }
  }

  /** The compiler knows objects, and not where they are written. */
  #placed({ about, ...warning }: ReturnType<PilotCompiler["warnings"]>[number]): Diagnostic {
    const origin = this.#world.originOf(about);
    return origin === undefined ? warning : { ...warning, origin };
  }

  #stop(): void {
    this.#stopped = true;
    this.#registrations.close();
    this.#keys.close();
    this.#debounce.close();
    this.#queue.close();
    this.ads.endAll(grpcStatus.unavailable, "the control plane is shutting down");
    this.#becameReady.resolve();
  }
}
