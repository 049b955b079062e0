import type { FilterContext, SideCall, SideOutcome } from "@lateen/proxy";
import type { RemoteKeysSpec } from "./config.ts";
import { type KeySet, keySet } from "./keys.ts";

/** Longer key sets count as none. */
const MAX_BYTES = 1024 * 1024;
/** Sources whose keys a worker keeps; the one that was looked for longest ago goes first. */
const MAX_SOURCES = 64;
/** Keys are fetched again so long before they are out of date, where that is done ahead of need. */
const AHEAD_MS = 5000;
/** Fetching ahead ends when nobody has asked for so many lives of a key set. */
const IDLE_LIVES = 2;

/** The keys at `spec`, which all filters of this worker share, whichever version of the configuration they are of. */
export function remoteKeys(spec: RemoteKeysSpec, context: FilterContext): RemoteKeys {
  const all = context.shared("jwt_authn remote keys", () => new Map<string, RemoteKeys>());
  const identity = JSON.stringify(spec);
  const found = all.get(identity) ?? new RemoteKeys(spec, context);
  all.delete(identity);
  all.set(identity, found);
  if (all.size > MAX_SOURCES) {
    const oldest = all.keys().next().value;
    if (oldest !== undefined) {
      all.get(oldest)?.stop();
      all.delete(oldest);
    }
  }
  return found;
}

/**
 * A key set that is fetched over HTTP through a cluster, when a token needs it or (`async_fetch`) ahead of that, and holds for
 * `cache_duration`. Whoever waits is told when a fetch has ended, however it did.
 * @see envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks
 */
export class RemoteKeys {
  readonly #spec: RemoteKeysSpec;
  readonly #context: FilterContext;
  readonly #slots: { readonly success: number; readonly failed: number };
  #keys: KeySet | undefined = undefined;
  #text = "";
  #expires = 0;
  #used = 0;
  #call: SideCall | undefined = undefined;
  #cancelTimer: (() => void) | undefined = undefined;
  #attempts = 0;
  readonly #waiting = new Set<() => void>();
  /** Grows whenever the keys are others than before. */
  version = 0;

  constructor(spec: RemoteKeysSpec, context: FilterContext) {
    this.#spec = spec;
    this.#context = context;
    this.#slots = context.shared("jwt_authn remote keys slots", () => ({
      success: context.stats.counter("envoy_http_jwt_authn_jwks_fetch_success", {}),
      failed: context.stats.counter("envoy_http_jwt_authn_jwks_fetch_failed", {}),
    }));
    this.#used = context.now();
    // The cluster comes into force together with the filter, or after it.
    if (spec.ahead !== undefined) this.#again(0);
  }

  /** The keys, unless there are none that hold now. */
  get current(): KeySet | undefined {
    const now = this.#context.now();
    this.#used = now;
    return now < this.#expires ? this.#keys : undefined;
  }

  /** Calls `done` after the fetch that is under way, or one that begins now. Answers how to give up waiting. */
  fetch(done: () => void): () => void {
    this.#waiting.add(done);
    if (this.#call === undefined && this.#attempts === 0) this.#ask();
    return () => this.#waiting.delete(done);
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#call?.cancel();
    this.#call = undefined;
    this.#settle();
  }

  #ask(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#call !== undefined) return;
    const { cluster, authority, path, timeoutMs } = this.#spec;
    this.#attempts++;
    this.#call = this.#context.call(
      {
        cluster,
        method: "GET",
        path,
        authority,
        headers: [],
        body: new Uint8Array(),
        grpc: false,
        timeoutMs,
        maxResponseBytes: MAX_BYTES,
      },
      (outcome) => {
        this.#call = undefined;
        this.#answered(outcome);
      },
    );
  }

  #answered(outcome: SideOutcome): void {
    const text = outcome.kind === "response" && outcome.status === 200 ? outcome.body.toString("utf8") : undefined;
    const keys = text === undefined ? undefined : keySet(text);
    if (keys?.usable === true && text !== undefined) {
      this.#took(keys, text);
      return;
    }
    const { retry } = this.#spec;
    const again = outcome.kind === "failed" || outcome.status >= 500;
    if (again && this.#attempts <= retry.count) {
      const grown = Math.min(retry.maxMs, retry.baseMs * 2 ** (this.#attempts - 1));
      this.#again(grown * this.#context.random());
      return;
    }
    this.#context.stats.add(this.#slots.failed, 1);
    this.#attempts = 0;
    this.#settle();
    if (this.#spec.ahead !== undefined && this.#wanted()) this.#again(this.#spec.ahead.failedMs);
  }

  #took(keys: KeySet, text: string): void {
    const { cacheMs, ahead } = this.#spec;
    this.#context.stats.add(this.#slots.success, 1);
    if (text !== this.#text) this.version++;
    this.#text = text;
    this.#keys = keys;
    this.#expires = this.#context.now() + cacheMs;
    this.#attempts = 0;
    this.#settle();
    if (ahead !== undefined && this.#wanted()) this.#again(cacheMs > 2 * AHEAD_MS ? cacheMs - AHEAD_MS : cacheMs / 2);
  }

  #wanted(): boolean {
    return this.#context.now() - this.#used < IDLE_LIVES * this.#spec.cacheMs;
  }

  #again(ms: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#context.after(ms, () => this.#ask());
  }

  #settle(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const done of waiting) done();
  }
}
