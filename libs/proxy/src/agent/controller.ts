import type { Clock, Logger, Scope } from "@lateen/kernel";
import type { SecretSpec } from "../config/plan.ts";
import type { PlanState } from "../config/plan-state.ts";
import type { ApplyFailure } from "../worker/protocol.ts";
import { type Configuration, types } from "./configuration.ts";
import type { KeptResource, KeptResources, LastGood } from "./last-good.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** One response of the control plane. */
export interface ResourceUpdate {
  readonly typeUrl: string;
  readonly upserted: readonly KeptResource[];
  readonly removed: readonly string[];
}

/** Names that clusters and listeners refer to and that come on request. */
export interface WantedNames {
  readonly endpoints: ReadonlySet<string>;
  readonly routes: ReadonlySet<string>;
  /** Only secrets of the control plane's store; the agent provides the others itself. */
  readonly secrets: ReadonlySet<string>;
}

export interface ControllerOptions {
  readonly state: PlanState;
  readonly configuration: Configuration;
  readonly pool: WorkerPool;
  readonly lastGood: LastGood | undefined;
  readonly clock: Clock;
  readonly scope: Scope;
  readonly logger: Logger;
  /** Ends waiting of clusters for endpoints and of listeners for routes and secrets. Envoy's initial_fetch_timeout: 15 s. */
  readonly warmingTimeoutMs?: number;
}

/** Between attempts to open a listener that could not be opened. */
const RETRY_MS = 5000;

const TYPE_OF_RESOURCE = {
  cluster: types.cluster,
  listener: types.listener,
  route: types.route,
  secret: types.secret,
} as const;

/**
 * Brings changes into force, one after the other: stage, step the plan, post to the workers, wait until each has applied it.
 * Only then does the update count (and is acknowledged).
 */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #applied = new Set<string>();
  #queue: Promise<unknown> = Promise.resolve();
  #warmingTimer: (() => void) | undefined;
  /** Listeners that a worker could not open, to be tried again. */
  readonly #retries = new Map<string, KeptResource>();
  #retryTimer: (() => void) | undefined;
  #configured = false;
  #onWanted: (names: WantedNames) => void = () => {};

  constructor(options: ControllerOptions) {
    this.#options = options;
    options.scope.defer(() => {
      this.#warmingTimer?.();
      this.#retryTimer?.();
    });
  }

  /** First clusters and listeners are in force in the workers and nothing of them waited any more. Stays true. */
  get configured(): boolean {
    return this.#configured;
  }

  /** What keeps it from being configured. */
  get waitingFor(): readonly string[] {
    const missing = [types.cluster, types.listener].filter((type) => !this.#applied.has(type));
    return [...missing.map((type) => type.slice(type.lastIndexOf(".") + 1)), ...this.#options.state.warming()];
  }

  /** Takes over one update; resolves with the resources that could not be put in force. */
  update({ typeUrl, upserted, removed }: ResourceUpdate): Promise<readonly { name: string; reason: string }[]> {
    return this.#serial(async () => {
      const { configuration, lastGood } = this.#options;
      for (const name of [...upserted.map((one) => one.name), ...removed]) this.#retries.delete(`${typeUrl} ${name}`);
      const refused = configuration.update(typeUrl, upserted, removed);
      const failed = await this.#step();
      this.#applied.add(typeUrl);
      this.#settle();
      lastGood?.save(() => configuration.kept);
      const own = failed.filter(({ resource }) => TYPE_OF_RESOURCE[resource] === typeUrl);
      return [...refused, ...own.map(({ name, reason }) => ({ name, reason }))];
    });
  }

  /** Decodes what was kept from before without putting it in force yet. */
  stage(kept: KeptResources): void {
    for (const [typeUrl, resources] of kept) this.#options.configuration.update(typeUrl, [...resources.values()], []);
    this.#wanted();
  }

  /** Puts in force what {@link stage} prepared. */
  applyStaged(): Promise<void> {
    return this.#serial(async () => {
      await this.#step();
      for (const [typeUrl, resources] of this.#options.configuration.kept) {
        if (resources.size > 0) this.#applied.add(typeUrl);
      }
      this.#settle();
      this.#options.lastGood?.save(() => this.#options.configuration.kept);
    });
  }

  /** New identity, trust bundle or other secrets. */
  secrets(secrets: readonly SecretSpec[]): Promise<void> {
    return this.#serial(async () => {
      for (const secret of secrets) this.#options.state.setSecret(secret);
      await this.#step();
    });
  }

  /** Takes over files that certificates and trust bundles are read from, when they changed. */
  rereadFiles(): Promise<void> {
    return this.#serial(async () => {
      this.#options.configuration.rereadFiles();
      await this.#step();
    });
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #step(): Promise<readonly ApplyFailure[]> {
    const { state, pool, configuration, logger } = this.#options;
    this.#wanted();
    const delta = state.advance();
    this.#watchWarming();
    if (delta === undefined) {
      this.#settle();
      return [];
    }
    const failures = distinct(await pool.apply(delta));
    for (const { resource, name, reason } of failures) {
      state.reject(resource, name);
      logger.error({ event: "plan.refused", resource, name, reason });
      const refused = configuration.rejected(TYPE_OF_RESOURCE[resource], name, reason);
      // What a listener fails of is mostly another program that has its port, and goes away by itself.
      if (resource === "listener" && refused !== undefined) this.#retries.set(`${types.listener} ${name}`, refused);
    }
    configuration.confirm(state.warming());
    this.#settle();
    this.#planRetry();
    logger.debug({ event: "plan.applied", generation: delta.generation, failures: failures.length });
    return failures;
  }

  /** Called when the workers have what the plan says. */
  #settle(): void {
    this.#configured ||= this.waitingFor.length === 0;
  }

  #planRetry(): void {
    const { clock, scope, configuration, logger, lastGood } = this.#options;
    if (this.#retries.size === 0 || this.#retryTimer !== undefined || scope.closed) return;
    this.#retryTimer = clock.after(RETRY_MS, () => {
      this.#retryTimer = undefined;
      void this.#serial(async () => {
        const again = [...this.#retries.values()];
        this.#retries.clear();
        configuration.update(types.listener, again, []);
        await this.#step();
        const recovered = again.filter(({ name }) => !this.#retries.has(`${types.listener} ${name}`));
        if (recovered.length === 0) return;
        logger.info({ event: "plan.recovered", listeners: recovered.map(({ name }) => name) });
        lastGood?.save(() => configuration.kept);
      });
    });
  }

  /** Tells at once and after every change which names are wanted. */
  onWanted(listener: (names: WantedNames) => void): void {
    this.#onWanted = listener;
    this.#wanted();
  }

  #wantedNames(): WantedNames {
    const { state } = this.#options;
    const secrets = new Set([...state.secretNames()].filter(isStoreSecret));
    return { endpoints: state.endpointNames(), routes: state.routeNames(), secrets };
  }

  #wanted(): void {
    this.#onWanted(this.#wantedNames());
  }

  #watchWarming(): void {
    const { state, clock, scope, logger, warmingTimeoutMs } = this.#options;
    const waiting = state.warming();
    if (waiting.length === 0 || this.#warmingTimer !== undefined || scope.closed) return;
    this.#warmingTimer = clock.after(warmingTimeoutMs ?? 15_000, () => {
      this.#warmingTimer = undefined;
      const still = new Set(state.warming());
      const late = waiting.filter((name) => still.has(name));
      if (late.length > 0) logger.warn({ event: "plan.warming_timed_out", waiting: late });
      state.giveUpWarming(late);
      void this.#serial(() => this.#step());
    });
  }
}

/** `kubernetes://NAME`: what Istio calls a Gateway's `credentialName`; `kubernetes-gateway://NS/NAME`: a Gateway API certificate. */
function isStoreSecret(name: string): boolean {
  return name.startsWith("kubernetes://") || name.startsWith("kubernetes-gateway://");
}

/** Several workers report the same failure. */
function distinct(failures: readonly ApplyFailure[]): readonly ApplyFailure[] {
  const seen = new Map(failures.map((failure) => [`${failure.resource} ${failure.name}`, failure] as const));
  return [...seen.values()];
}
