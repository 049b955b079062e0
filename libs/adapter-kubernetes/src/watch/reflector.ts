import type { Clock, Logger, Random } from "@lateen/kernel";
import { messageOf } from "@lateen/kernel";
import { type KubernetesApi, refusedEvent } from "../client/api.ts";
import { type ApiObject, isApiObject, isFields, isOlder } from "../client/objects.ts";
import { collectionPath, type ResourceAddress } from "../client/resources.ts";
import { isRefused, notUnderstood, refusalOf } from "../errors.ts";
import { type Changes, type Converted, Held } from "./held.ts";
import { listPages } from "./list.ts";
import { backoff, pause, type WatchTuning } from "./pauses.ts";

/** Which objects, and what is made of them. */
export interface Watched<T> {
  /** One collection under each version that will do, the preferred first. */
  readonly addresses: readonly [ResourceAddress, ...ResourceAddress[]];
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Ask for names, labels and versions alone. */
  readonly metadataOnly?: boolean;
  /** A server that does not know the resource (its CRD is not installed) has none of it, and may have some later. */
  readonly optional?: boolean;
  readonly keyOf: (object: ApiObject) => string;
  readonly convert: (object: ApiObject) => Converted<T>;
}

export interface ReflectorDeps {
  readonly api: KubernetesApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly tuning: WatchTuning;
  readonly signal: AbortSignal;
}

/** How many times in a row a resource must be unknown before what was there of it counts as gone: servers that start know less. */
const ABSENCES = 3;
/** A watch that lasted so long was one, whatever ended it. */
const REAL_WATCH_MS = 2_000;

/**
 * Holds a collection in step with the API server: list, watch from the list's version, list again when that is too old (410), in all
 * cases delivering only differences. Whatever goes wrong, what was delivered stays as it is and the next attempt comes after a pause.
 */
export class Reflector<T> {
  readonly #watched: Watched<T>;
  readonly #deps: ReflectorDeps;
  readonly #receive: (changes: Changes<T>, first: boolean) => void;
  readonly #held: Held<T>;
  readonly #name: string;
  #address: ResourceAddress;
  #version: string | undefined;
  #synced = false;
  #failures = 0;
  #absences = 0;
  #paged = true;
  #complaint = "";

  constructor(watched: Watched<T>, deps: ReflectorDeps, receive: (changes: Changes<T>, first: boolean) => void) {
    this.#watched = watched;
    this.#deps = deps;
    this.#receive = receive;
    [this.#address] = watched.addresses;
    this.#name = collectionPath(this.#address);
    this.#held = new Held({
      keyOf: watched.keyOf,
      convert: watched.convert,
      refused: (key, reason) => deps.logger.warn({ event: "kubernetes.object_ignored", object: key, reason }),
    });
  }

  /** Goes on until the signal aborts. Never rejects. */
  async run(): Promise<void> {
    const { signal, clock, tuning, random } = this.#deps;
    while (!signal.aborted) {
      try {
        if (await this.#list()) await this.#follow();
        else await pause(clock, tuning.absentMs * (0.5 + random.next()), signal);
      } catch (error) {
        await this.#failed(error);
      }
    }
  }

  /** @returns whether the server knows the resource. */
  async #list(): Promise<boolean> {
    let unknown: unknown;
    for (const address of this.#watched.addresses) {
      try {
        await this.#listAt(address);
        this.#address = address;
        this.#absences = 0;
        return true;
      } catch (error) {
        if (!isRefused(error, 404)) throw error;
        unknown = error;
      }
    }
    if (this.#watched.optional !== true) throw unknown;
    if (this.#held.size > 0 && ++this.#absences < ABSENCES) {
      this.#complain("kubernetes.resource_vanished", unknown);
      return false;
    }
    this.#deliver(this.#held.startList().complete());
    return false;
  }

  async #listAt(address: ResourceAddress): Promise<void> {
    const { labelSelector, fieldSelector, metadataOnly = false } = this.#watched;
    const { api, signal, tuning } = this.#deps;
    const list = this.#held.startList();
    try {
      this.#version = await listPages(
        {
          api,
          address,
          labelSelector,
          fieldSelector,
          metadataOnly,
          signal,
          pageSize: this.#paged ? tuning.pageSize : 0,
        },
        (object) => list.add(object),
      );
    } catch (error) {
      // It changes faster than its pages can be read: all at once then.
      if (isRefused(error, 410)) this.#paged = false;
      throw error;
    }
    this.#deliver(list.complete());
  }

  /** Watches from the version at hand. @returns when a list is needed. */
  async #follow(): Promise<void> {
    const { signal, clock, random, tuning } = this.#deps;
    while (!signal.aborted) {
      let began = Number.POSITIVE_INFINITY;
      const from = this.#version;
      const wasOne = () => clock.monotonic() - began >= REAL_WATCH_MS || this.#version !== from;
      try {
        await this.#watch(() => {
          began = clock.monotonic();
        });
        if (wasOne()) this.#recovered();
        else await pause(clock, backoff(tuning, ++this.#failures, random), signal);
      } catch (error) {
        if (wasOne()) this.#failures = 0;
        const status = refusalOf(error)?.status;
        if (status !== 410 && status !== 404) await this.#failed(error);
        else {
          this.#deps.logger.info({ event: "kubernetes.list_again", resource: this.#name, status });
          // At once, unless what was listed a moment ago is too old already.
          if (++this.#failures > 1) await pause(clock, backoff(tuning, this.#failures - 1, random), signal);
          return;
        }
      }
    }
  }

  #watch(accepted: () => void): Promise<void> {
    const { api, signal, tuning, random } = this.#deps;
    const { labelSelector, fieldSelector, metadataOnly } = this.#watched;
    return api.watch(this.#address, {
      query: {
        watch: "1",
        allowWatchBookmarks: "true",
        resourceVersion: this.#version,
        timeoutSeconds: String(Math.ceil((tuning.watchMs * (1 + random.next())) / 1000)),
        labelSelector,
        fieldSelector,
      },
      ...(metadataOnly ? { accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" } : {}),
      signal,
      stallMs: tuning.stallMs,
      accepted,
      receive: (events) => this.#take(events),
    });
  }

  #take(events: readonly unknown[]): void {
    const changes: Changes<T> = new Map();
    try {
      for (const event of events) this.#takeOne(event, changes);
    } finally {
      if (changes.size > 0) this.#deliver(changes);
    }
  }

  #takeOne(event: unknown, changes: Changes<T>): void {
    const { type, object } = isFields(event) ? event : { type: undefined, object: undefined };
    if (type === "ERROR") throw refusedEvent(`watch ${this.#name}`, object);
    if (type === "BOOKMARK") {
      const metadata = isFields(object) && isFields(object.metadata) ? object.metadata : {};
      if (typeof metadata.resourceVersion === "string") this.#seen(metadata.resourceVersion);
      return;
    }
    if (!isApiObject(object)) throw notUnderstood(`watch ${this.#name}`, "an event without an object");
    if (type === "DELETED") this.#held.remove(object, changes);
    else if (type === "ADDED" || type === "MODIFIED") this.#held.upsert(object, this.#version, changes);
    else throw notUnderstood(`watch ${this.#name}`, `an event of type ${String(type)}`);
    this.#seen(object.metadata.resourceVersion);
  }

  /** Goes forward only: events may come twice. */
  #seen(version: string | undefined): void {
    if (version !== undefined && !isOlder(version, this.#version)) this.#version = version;
  }

  #deliver(changes: Changes<T>): void {
    const first = !this.#synced;
    this.#synced = true;
    if (!first && changes.size === 0) return;
    try {
      this.#receive(changes, first);
    } catch (error) {
      this.#deps.logger.error({ event: "kubernetes.receiver_failed", resource: this.#name, error: messageOf(error) });
    }
  }

  async #failed(error: unknown): Promise<void> {
    const { signal, clock, random, tuning } = this.#deps;
    if (signal.aborted) return;
    this.#failures++;
    this.#complain("kubernetes.watch_failed", error);
    const wanted = refusalOf(error)?.retryAfterMs ?? 0;
    await pause(
      clock,
      Math.max(backoff(tuning, this.#failures, random), Math.min(wanted, tuning.maxBackoffMs)),
      signal,
    );
  }

  /** A reason is told once, until it is another or has gone. */
  #complain(event: string, error: unknown): void {
    const reason = messageOf(error);
    if (reason === this.#complaint) return;
    this.#complaint = reason;
    this.#deps.logger.warn({ event, resource: this.#name, reason, synced: this.#synced });
  }

  #recovered(): void {
    this.#failures = 0;
    if (this.#complaint !== "") this.#deps.logger.info({ event: "kubernetes.recovered", resource: this.#name });
    this.#complaint = "";
  }
}
