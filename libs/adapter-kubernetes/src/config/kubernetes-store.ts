import { gunzipSync, gzipSync } from "node:zlib";
import { type Clock, type Logger, messageOf, silentLogger, systemClock } from "@lateen/kernel";
import { decodeObject, encodeObject, keyOf, type Origin, type ResourceKey } from "@lateen/mesh-model";
import type { AcceptedObject, ConfigStore, RejectedObject, StoreChange, StoredState } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import { type ApiObject, isFields } from "../client/objects.ts";
import { changedByKubectl, isRefused } from "../errors.ts";

export interface KubernetesStoreOptions {
  /** Default: that of this process. */
  readonly namespace?: string;
  /** Of the ConfigMap. Default `lateen-galley`. */
  readonly name?: string;
  /** Token of the lease under which this process writes; without one it only remembers. What a later holder wrote is left alone. */
  readonly fencingToken?: () => number | undefined;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** A ConfigMap holds 1 MiB; base64 takes a third more. */
const MAX_BYTES = 700_000;
const TOKEN = "lateen.dev/fencing-token";
const FIELD = "state.json.gz";
const RETRY_MS = [500, 1000, 2000, 5000, 15_000];
const LOAD_ATTEMPTS = 5;

interface Record_ {
  readonly rejected: readonly RejectedObject[];
  /** Last good versions of objects whose version in the API server is not usable. */
  readonly kept: readonly {
    readonly object: unknown;
    readonly origin: Origin;
    readonly ownerFile: string | undefined;
  }[];
}

/**
 * What galley remembers in a cluster. The objects themselves are the API server's; this store adds what it does not have: the last good
 * version of objects that were replaced by bad ones, and why those were not accepted, in one ConfigMap. It is written soon after a
 * change, and nothing waits for it. Revisions begin at the wall clock's milliseconds, so that they grow over restarts and leaders.
 */
export function kubernetesConfigStore(api: KubernetesApi, options: KubernetesStoreOptions = {}): ConfigStore {
  return new LastGoodStore(api, options);
}

class LastGoodStore implements ConfigStore {
  readonly #api: KubernetesApi;
  readonly #options: KubernetesStoreOptions;
  readonly #namespace: string;
  readonly #name: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #objects = new Map<ResourceKey, AcceptedObject>();
  #rejected: readonly RejectedObject[] = [];
  /** What the ConfigMap says, as far as we know. */
  #written = "";
  #flushing: Promise<void> | undefined;
  #failures = 0;
  #closed = false;
  #cancelRetry = () => {};

  constructor(api: KubernetesApi, options: KubernetesStoreOptions) {
    this.#api = api;
    this.#options = options;
    this.#namespace = options.namespace ?? api.namespace;
    this.#name = options.name ?? "lateen-galley";
    this.#clock = options.clock ?? systemClock();
    this.#logger = (options.logger ?? silentLogger).child({ component: "config-store" });
  }

  get #maps() {
    return { group: "", version: "v1", plural: "configmaps", namespace: this.#namespace };
  }

  async load(): Promise<StoredState> {
    const found = await this.#find(LOAD_ATTEMPTS);
    const record = found === undefined ? undefined : this.#read(found);
    for (const { object: value, origin, ownerFile } of record?.kept ?? []) {
      const decoded = decodeObject(value, origin);
      if (!decoded.ok) continue;
      this.#objects.set(keyOf(decoded.object), { object: decoded.object, origin, ownerFile, revision: 0 });
    }
    this.#rejected = record?.rejected ?? [];
    this.#written = this.#text();
    return { revision: Math.trunc(this.#clock.now()), objects: new Map(this.#objects), rejected: this.#rejected };
  }

  async commit(change: StoreChange): Promise<void> {
    const commanded = change.upserted.filter(({ ownerFile }) => ownerFile === undefined).length;
    const overridden = change.overrides?.length ?? 0;
    if (commanded + overridden > 0) throw changedByKubectl(commanded + overridden);
    for (const key of change.removed) this.#objects.delete(key);
    for (const accepted of change.upserted) this.#objects.set(keyOf(accepted.object), accepted);
    this.#rejected = change.rejected;
    this.#flush();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRetry();
    await this.#flushing;
  }

  #flush(): void {
    if (this.#flushing !== undefined || this.#closed || this.#options.fencingToken?.() === undefined) return;
    const text = this.#text();
    if (text === this.#written) return;
    this.#flushing = this.#write(text).then(
      () => {
        this.#written = text;
        this.#failures = 0;
        this.#flushing = undefined;
        this.#flush();
      },
      (error: unknown) => {
        this.#flushing = undefined;
        this.#retry(error);
      },
    );
  }

  #retry(error: unknown): void {
    this.#logger.warn({ event: "config.last_good_not_stored", reason: messageOf(error) });
    const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)] ?? 0;
    if (!this.#closed) this.#cancelRetry = this.#clock.after(wait, () => this.#flush());
  }

  async #write(text: string): Promise<void> {
    const token = this.#options.fencingToken?.() ?? 0;
    const found = await this.#find(1);
    const theirs = Number(found?.metadata.annotations?.[TOKEN] ?? 0);
    if (theirs > token) throw new Error(`a later leader (${theirs} after ${token}) has written`);
    const body: ApiObject = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: this.#name,
        namespace: this.#namespace,
        annotations: { [TOKEN]: String(token) },
        ...(found?.metadata.resourceVersion === undefined ? {} : { resourceVersion: found.metadata.resourceVersion }),
      },
      binaryData: { [FIELD]: gzipSync(text).toString("base64") },
    };
    if (found === undefined) await this.#api.create(this.#maps, body);
    else await this.#api.replace(this.#maps, body);
  }

  async #find(attempts: number): Promise<ApiObject | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#api.get(this.#maps, this.#name);
      } catch (error) {
        if (isRefused(error, 404)) return undefined;
        if (attempt >= attempts) throw error;
        const wait = RETRY_MS[Math.min(attempt - 1, RETRY_MS.length - 1)] ?? 0;
        await new Promise<void>((resolve) => this.#clock.after(wait, resolve));
      }
    }
  }

  #read(map: ApiObject): Record_ | undefined {
    try {
      const data = isFields(map.binaryData) ? map.binaryData[FIELD] : undefined;
      if (typeof data !== "string") return undefined;
      return JSON.parse(
        gunzipSync(Buffer.from(data, "base64"), { maxOutputLength: 64 * 1024 * 1024 }).toString("utf8"),
      );
    } catch (error) {
      // The objects are in the API server; only what served instead of bad ones is lost.
      this.#logger.error({ event: "config.last_good_unreadable", name: this.#name, reason: messageOf(error) });
      return undefined;
    }
  }

  /** As much as fits: without the largest versions where it is too much. */
  #text(): string {
    const kept = this.#rejected.flatMap(({ key, lastGoodServes }) => {
      const accepted = lastGoodServes && key !== undefined ? this.#objects.get(key) : undefined;
      if (accepted === undefined) return [];
      const { object, origin, ownerFile } = accepted;
      return [{ object: encodeObject(object), origin, ownerFile }];
    });
    const rejected = this.#rejected.slice(0, 1000);
    const bySize = kept.map((one) => ({ one, size: JSON.stringify(one).length })).sort((a, b) => a.size - b.size);
    for (;;) {
      const record: Record_ = { rejected, kept: bySize.map(({ one }) => one) };
      const text = JSON.stringify(record);
      if (bySize.length === 0 || gzipSync(text).length <= MAX_BYTES) return text;
      const dropped = bySize.splice(Math.floor(bySize.length / 2));
      this.#logger.warn({ event: "config.last_good_too_large", dropped: dropped.length });
    }
  }
}
