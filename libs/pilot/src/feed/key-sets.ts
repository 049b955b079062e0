import { type KeySource, keySourceOf } from "@lateen/compiler";
import { type CancelTimer, type Clock, expectOk, type Logger, messageOf, parseDuration } from "@lateen/kernel";
import { type Diagnostic, keyOf, type Resource } from "@lateen/mesh-model";
import type { DocumentSource, KeySetStore } from "@lateen/ports";
import { keysNotFetched } from "../errors.ts";
import type { WorldChange } from "./world.ts";

/** After a failure keys are looked at again soon, and ever less often. */
const RETRY_MS = { first: 1000, most: 60_000 };
const TIMEOUT_MS = 5000;

export interface KeySetParts {
  readonly documents: DocumentSource | undefined;
  /** Where keys are kept over restarts. */
  readonly store?: KeySetStore | undefined;
  /** Milliseconds after which keys are looked at again. */
  readonly refreshMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Keys became others. */
  readonly changed: () => void;
}

interface Known {
  readonly source: KeySource;
  keys: string | undefined;
  /** What the store has of it. */
  kept: string | undefined;
  problem: string | undefined;
  failures: number;
  /** The first attempt came to an end, or there were keys without it. */
  tried: boolean;
  readonly abort: AbortController;
  cancel: CancelTimer | undefined;
}

/**
 * Keys of the token issuers that request authentications name, fetched and kept fresh. Fail mode: a source that cannot be read keeps
 * the keys of before, those of a former process included; without such, no token of the issuer is good.
 */
export class KeySets {
  readonly #parts: KeySetParts;
  readonly #wanted = new Map<string, readonly KeySource[]>();
  readonly #known = new Map<string, Known>();
  #fresh = new Map<string, string>();
  #loading: Promise<ReadonlyMap<string, string>> | undefined;
  #closed = false;

  constructor(parts: KeySetParts) {
    this.#parts = parts;
  }

  /** Every source has been tried. */
  get settled(): boolean {
    return [...this.#known.values()].every(({ tried }) => tried);
  }

  /** Follows what is asked for. */
  update({ upserted, removed }: WorldChange): void {
    let touched = false;
    for (const key of removed) touched = this.#wanted.delete(key) || touched;
    for (const object of upserted) {
      if (object.kind !== "RequestAuthentication") continue;
      this.#wanted.set(keyOf(object), sourcesOf(object));
      touched = true;
    }
    if (touched) this.#follow();
  }

  /** Keys that became others since the last call, by the URL of their source. */
  take(): ReadonlyMap<string, string> {
    const fresh = this.#fresh;
    this.#fresh = new Map();
    return fresh;
  }

  problems(): readonly Diagnostic[] {
    return [...this.#known.values()].flatMap(({ source, problem, keys }) =>
      problem === undefined ? [] : [keysNotFetched(source.url, problem, keys !== undefined)],
    );
  }

  close(): void {
    this.#closed = true;
    for (const known of this.#known.values()) stop(known);
    this.#known.clear();
  }

  #follow(): void {
    const wanted = new Map([...this.#wanted.values()].flat().map((source) => [source.url, source]));
    for (const [url, known] of this.#known) {
      if (wanted.has(url)) continue;
      stop(known);
      this.#known.delete(url);
      void this.#keep(url, undefined);
    }
    for (const [url, source] of wanted) {
      if (this.#known.has(url) || this.#closed) continue;
      const abort = new AbortController();
      const known: Known = {
        source,
        keys: undefined,
        kept: undefined,
        problem: undefined,
        failures: 0,
        tried: false,
        abort,
        cancel: undefined,
      };
      this.#known.set(url, known);
      void (this.#parts.store === undefined ? this.#fetch(known) : this.#resume(known, this.#parts.store));
    }
  }

  /** Begins with the keys that were kept, if there are any, and fetches them all the same. */
  async #resume(known: Known, store: KeySetStore): Promise<void> {
    const { source, abort } = known;
    const { logger } = this.#parts;
    this.#loading ??= store
      .load()
      .then((all) => new Map([...all].filter(([, text]) => isKeySet(text))))
      .catch((error: unknown) => {
        logger.warn({ event: "keys.not_loaded", reason: messageOf(error) });
        return new Map<string, string>();
      })
      .finally(() => {
        this.#loading = undefined;
      });
    const kept = (await this.#loading).get(source.url);
    if (abort.signal.aborted) return;
    if (kept !== undefined) {
      known.keys = kept;
      known.kept = kept;
      known.tried = true;
      this.#fresh.set(source.url, kept);
      logger.info({ event: "keys.resumed", url: source.url });
      this.#parts.changed();
    }
    await this.#fetch(known);
  }

  /** @returns whether the store has it now. */
  async #keep(url: string, keys: string | undefined): Promise<boolean> {
    const { store, logger } = this.#parts;
    if (store === undefined) return true;
    try {
      await store.save(url, keys);
      return true;
    } catch (error) {
      logger.warn({ event: "keys.not_kept", url, reason: messageOf(error) });
      return false;
    }
  }

  async #fetch(known: Known): Promise<void> {
    const { source, abort } = known;
    const { clock, logger, refreshMs } = this.#parts;
    try {
      const keys = await this.#read(source, abort.signal);
      if (abort.signal.aborted) return;
      known.problem = undefined;
      known.failures = 0;
      if (keys !== known.keys) {
        known.keys = keys;
        this.#fresh.set(source.url, keys);
        logger.info({ event: "keys.fetched", url: source.url });
      }
      // Once more at the next look where it failed.
      if (keys !== known.kept)
        void this.#keep(source.url, keys).then((kept) => {
          if (kept) known.kept = keys;
        });
    } catch (error) {
      if (abort.signal.aborted) return;
      known.problem = messageOf(error);
      known.failures++;
      logger.warn({ event: "keys.fetch_failed", url: source.url, reason: known.problem, failures: known.failures });
    }
    const first = !known.tried;
    known.tried = true;
    const retry = Math.min(refreshMs, RETRY_MS.most, RETRY_MS.first * 2 ** Math.min(known.failures - 1, 10));
    known.cancel = clock.after(known.failures === 0 ? refreshMs : retry, () => void this.#fetch(known));
    if (first || this.#fresh.size > 0) this.#parts.changed();
  }

  async #read({ kind, url, timeout }: KeySource, signal: AbortSignal): Promise<string> {
    const { documents } = this.#parts;
    if (documents === undefined) throw new Error("nothing is fetched here");
    const timeoutMs =
      timeout === undefined ? TIMEOUT_MS : expectOk(parseDuration(timeout), (reason) => new RangeError(reason));
    if (kind === "jwks") return keySet(await documents(url, timeoutMs, signal));
    const published = JSON.parse(await documents(url, timeoutMs, signal)) as { readonly jwks_uri?: unknown };
    const found = published.jwks_uri;
    if (typeof found !== "string" || !/^https?:/.test(found)) throw new Error("the issuer publishes no jwks_uri");
    return keySet(await documents(found, timeoutMs, signal));
  }
}

function stop({ abort, cancel }: Known): void {
  abort.abort();
  cancel?.();
}

function sourcesOf({ spec }: Resource<"RequestAuthentication">): readonly KeySource[] {
  return (spec?.jwtRules ?? []).flatMap((rule) => keySourceOf(rule) ?? []);
}

/** The document if it is a key set (RFC 7517 §5). */
function keySet(text: string): string {
  const value: unknown = JSON.parse(text);
  const keys = typeof value === "object" && value !== null ? (value as { readonly keys?: unknown }).keys : undefined;
  if (!Array.isArray(keys)) throw new Error("what was read is no key set");
  return text;
}

function isKeySet(text: string): boolean {
  try {
    return keySet(text) === text;
  } catch {
    return false;
  }
}
