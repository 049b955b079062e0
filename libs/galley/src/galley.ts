import { type Clock, type Logger, messageOf, type Scope } from "@lateen/kernel";
import { analyze, keyOf, type ResourceKey } from "@lateen/mesh-model";
import {
  type AcceptedObject,
  type Bus,
  CONFIG_TOPIC,
  type ConfigSource,
  type ConfigStore,
  type RawDocument,
  type RejectedObject,
  type StateTopic,
  type StoreChange,
} from "@lateen/ports";
import { type CommandDocument, type CommandOptions, decideApply, decideRemove } from "./decide-commands.ts";
import { decideFiles } from "./decide-files.ts";
import { Draft, type FinishedDraft, type GalleyState } from "./draft.ts";
import { batchTooLarge, notStored } from "./errors.ts";
import { type FileView, viewOf } from "./file-view.ts";
import { Fingerprints } from "./fingerprint.ts";
import { GalleyMetrics } from "./metrics.ts";
import { type ApplyResult, describeDiagnostic, type RemoveResult } from "./results.ts";

export interface GalleyOptions {
  /** Watched configuration; left out when everything comes by command. */
  readonly source?: ConfigSource;
  /** Loaded by {@link createGalley}, closed with the scope. */
  readonly store: ConfigStore;
  readonly bus: Bus;
  readonly scope: Scope;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The source is an API server, which counts generations itself: they are kept. Default: galley counts them. */
  readonly countedBySource?: boolean;
  /** Fencing token of the lease by which this galley leads, where there are several; what it publishes carries it. */
  readonly epoch?: number;
  /** Further objects are rejected. Default 50,000. */
  readonly maxObjects?: number;
}

/** Documents, and bytes of text, that one command may carry. */
const MAX_COMMAND_DOCUMENTS = 2000;
const MAX_COMMAND_CHARACTERS = 32 * 1024 * 1024;
const RETRY_MS = [500, 1000, 2000, 5000, 15_000];

/** Decides what is in force. */
export interface Galley {
  /** Grows with every change of what is in force. */
  readonly revision: number;
  /**
   * Decides on each object of the documents alone and puts the accepted ones in force, durably. An object of a watched file is refused
   * unless `takeOver`.
   * @throws LTN2002 too much at once, LTN2010 the change could not be stored (nothing is in force then).
   */
  apply(
    documents: readonly CommandDocument[],
    options?: CommandOptions,
  ): Promise<{ readonly revision: number; readonly results: readonly ApplyResult[] }>;
  /** Removes objects. Same refusals and errors as {@link Galley.apply}. */
  remove(
    keys: readonly ResourceKey[],
    options?: CommandOptions,
  ): Promise<{ readonly revision: number; readonly results: readonly RemoveResult[] }>;
  objects(): ReadonlyMap<ResourceKey, AcceptedObject>;
  rejected(): readonly RejectedObject[];
  /** Numbers for status. */
  stats(): GalleyStats;
  /** Prometheus text. */
  metrics(): string;
}

export interface GalleyStats {
  readonly objects: number;
  readonly rejected: number;
  readonly revision: number;
  /** Documents accepted and refused since the start. */
  readonly validationPassed: number;
  readonly validationFailed: number;
  /** Changes that could not be stored and are being tried again. */
  readonly storeFailures: number;
}

/**
 * Loads what was in force, lets the source's first delivery decide on top of it, publishes a snapshot on the bus topic `config`, and
 * from then on a delta per change, each only after it is durable.
 * @throws LTN2010 when the store is empty and cannot be written.
 */
export async function createGalley(options: GalleyOptions): Promise<Galley> {
  const stored = await options.store.load();
  options.scope.defer(() => options.store.close());
  const galley = new FileGalley(options, { ...stored, overrides: stored.overrides ?? [] });
  await galley.start();
  return galley;
}

/**
 * One change at a time: decide on a draft, commit it, swap the state, publish. Invariant: `#state` is what the store holds, except
 * for line numbers; `#views` is what the source said last.
 */
class FileGalley implements Galley {
  readonly #options: GalleyOptions;
  readonly #logger: Logger;
  readonly #topic: StateTopic<AcceptedObject>;
  readonly #epoch: { readonly epoch?: number };
  readonly #fingerprints = new Fingerprints();
  readonly #adopted = new WeakMap();
  readonly #arrived = new Map<string, RawDocument>();
  #state: GalleyState;
  #views: ReadonlyMap<string, FileView> = new Map();
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;
  #publishedOnce = false;
  #failures = 0;
  #retryPending = false;
  readonly #metrics = new GalleyMetrics();

  constructor(options: GalleyOptions, state: GalleyState) {
    this.#options = options;
    this.#state = state;
    this.#logger = options.logger.child({ component: "galley" });
    this.#epoch = options.epoch === undefined ? {} : { epoch: options.epoch };
    this.#topic = options.bus.state<AcceptedObject>(CONFIG_TOPIC);
    options.scope.defer(async () => {
      this.#closed = true;
      await this.#tail;
    });
  }

  get revision(): number {
    return this.#state.revision;
  }

  objects(): ReadonlyMap<ResourceKey, AcceptedObject> {
    return this.#state.objects;
  }

  rejected(): readonly RejectedObject[] {
    return this.#state.rejected;
  }

  stats(): GalleyStats {
    return {
      objects: this.#state.objects.size,
      rejected: this.#state.rejected.length,
      revision: this.#state.revision,
      validationPassed: this.#metrics.passed,
      validationFailed: this.#metrics.failed,
      storeFailures: this.#metrics.storeFailures,
    };
  }

  metrics(): string {
    return this.#metrics.exposition(this.#state);
  }

  async start(): Promise<void> {
    const { source, scope } = this.#options;
    if (source) {
      const first = Promise.withResolvers<void>();
      let delivered = false;
      await source.watch(scope, (documents) => {
        for (const document of documents) this.#arrived.set(document.file, document);
        const done = this.#serial(() => this.#takeArrived());
        if (delivered) return;
        delivered = true;
        done.then(first.resolve, first.reject);
      });
      await first.promise;
    }
    await this.#publishSnapshot();
  }

  apply(documents: readonly CommandDocument[], options: CommandOptions = {}) {
    return this.#serial(async () => {
      checkSize(documents);
      const draft = this.#draft();
      const results = decideApply(draft, this.#views, documents, options);
      await this.#settle(draft);
      this.#count(results);
      return {
        revision: this.#state.revision,
        results: options.withoutAnalysis ? results : this.#withAnalysis(results),
      };
    });
  }

  remove(keys: readonly ResourceKey[], options: CommandOptions = {}) {
    return this.#serial(async () => {
      if (keys.length > MAX_COMMAND_DOCUMENTS) throw batchTooLarge(`${keys.length} objects to delete at once`);
      const draft = this.#draft();
      const results = decideRemove(draft, this.#views, keys, options);
      await this.#settle(draft);
      return { revision: this.#state.revision, results };
    });
  }

  #serial<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task, task);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  #draft(): Draft {
    return new Draft(this.#state, {
      nowMs: this.#options.clock.now(),
      fingerprints: this.#fingerprints,
      adopted: this.#adopted,
      maxObjects: this.#options.maxObjects ?? 50_000,
      countedBySource: this.#options.countedBySource ?? false,
    });
  }

  /** Everything that arrived while the last change was being stored is one change. */
  async #takeArrived(): Promise<void> {
    if (this.#arrived.size === 0 && this.#publishedOnce) return;
    const views = new Map(this.#views);
    for (const document of this.#arrived.values()) {
      const view = viewOf(document);
      if (view) views.set(document.file, view);
      else views.delete(document.file);
    }
    this.#arrived.clear();
    this.#views = views;
    await this.#decideAgain();
  }

  async #decideAgain(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#settle(this.#draft());
      this.#failures = 0;
    } catch (error) {
      // What was in force stays in force. A mesh that has nothing yet has nothing to keep: its start fails.
      if (!this.#publishedOnce && this.#state.objects.size === 0) throw error;
      this.#retryLater(error);
    }
  }

  #retryLater(error: unknown): void {
    this.#logger.error({ event: "config.not_stored", error: messageOf(error), attempt: this.#failures + 1 });
    const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)] ?? 0;
    if (this.#retryPending) return;
    this.#retryPending = true;
    this.#options.clock.after(wait, () => {
      this.#retryPending = false;
      if (!this.#closed) void this.#serial(() => this.#decideAgain());
    });
  }

  /** Decides on the files again on top of the draft, stores the outcome, puts it in force and publishes it. */
  async #settle(draft: Draft): Promise<void> {
    const before = this.#state.rejected;
    const rejected = this.#options.source ? decideFiles(draft, this.#views) : this.#state.rejected;
    const finished: FinishedDraft = draft.finish(rejected);
    if (finished.change) {
      try {
        await this.#options.store.commit(finished.change);
      } catch (error) {
        this.#metrics.storeFailed();
        throw notStored(error);
      }
    }
    this.#state = finished.state;
    this.#reportRejections(before, rejected);
    if (finished.change) await this.#publish(finished.change);
  }

  async #publish(change: StoreChange): Promise<void> {
    for (const { object } of change.upserted) this.#metrics.accepted(object.kind);
    if (change.upserted.length + change.removed.length === 0 || !this.#publishedOnce) return;
    const { revision, upserted, removed } = change;
    this.#logger.info({ event: "config.changed", revision, upserted: upserted.length, removed: removed.length });
    try {
      await this.#topic.publish({
        snapshot: false,
        revision,
        ...this.#epoch,
        upserted: upserted.map(toEntry),
        removed,
      });
    } catch (error) {
      this.#logger.error({ event: "config.publish_failed", error: messageOf(error) });
      // Receivers may have missed the delta: they get everything anew.
      this.#options.clock.after(RETRY_MS[1] ?? 0, () => void this.#serial(() => this.#publishSnapshot()));
    }
  }

  async #publishSnapshot(): Promise<void> {
    if (this.#closed) return;
    const { revision, objects } = this.#state;
    const upserted = [...objects.values()].map(toEntry);
    this.#publishedOnce = true;
    this.#logger.info({ event: "config.snapshot", revision, objects: upserted.length });
    await this.#topic.publish({ snapshot: true, revision, ...this.#epoch, upserted, removed: [] });
  }

  #reportRejections(before: readonly RejectedObject[], after: readonly RejectedObject[]): void {
    const known = new Set(before.map((rejected) => JSON.stringify(rejected)));
    for (const rejected of after) {
      if (known.has(JSON.stringify(rejected))) continue;
      this.#metrics.refused(rejected.kind);
      const { kind, namespace, name, file, lastGoodServes } = rejected;
      const errors = rejected.diagnostics.map(describeDiagnostic);
      this.#logger.warn({ event: "config.rejected", kind, namespace, name, file, lastGoodServes, errors });
    }
  }

  #count(results: readonly ApplyResult[]): void {
    for (const { action, kind } of results) if (action === "rejected") this.#metrics.refused(kind);
  }

  /** Adds what only shows across objects, such as a route to a subset that no rule defines. */
  #withAnalysis(results: readonly ApplyResult[]): readonly ApplyResult[] {
    const accepted = this.#state.objects;
    const found = analyze(
      [...accepted.values()].map(({ object }) => object),
      { originOf: (object) => accepted.get(keyOf(object))?.origin ?? { file: "", line: 1, column: 1 } },
    );
    if (found.length === 0) return results;
    return results.map((result) => {
      if (result.action === "rejected" || result.action === "ignored") return result;
      const own = found
        .filter(
          ({ object, severity }) =>
            object === `${result.kind}/${result.namespace}/${result.name}` && severity !== "info",
        )
        .map(describeDiagnostic);
      return own.length === 0 ? result : { ...result, warnings: [...result.warnings, ...own] };
    });
  }
}

function toEntry(accepted: AcceptedObject) {
  return { key: keyOf(accepted.object), value: accepted, revision: accepted.revision };
}

function checkSize(documents: readonly CommandDocument[]): void {
  if (documents.length > MAX_COMMAND_DOCUMENTS) throw batchTooLarge(`${documents.length} documents at once`);
  const characters = documents.reduce((sum, { text }) => sum + text.length, 0);
  if (characters > MAX_COMMAND_CHARACTERS) throw batchTooLarge(`${characters} characters at once`);
}
