import { type Clock, type Logger, type Scope, silentLogger, systemClock } from "@lateen/kernel";
import type { ConfigSource, RawDocument } from "@lateen/ports";
import { watchDirectories } from "../files/watch-directories.ts";
import { FileReader } from "./file-reader.ts";
import { findFiles } from "./find-files.ts";

export interface FileSourceOptions {
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Look into subdirectories too. Default: only the directory itself, as kubectl does. Hidden ones and node_modules never. */
  readonly recursive?: boolean;
  /** A larger file is not read; what it held before stays in force. Default 10 MiB. */
  readonly maxFileBytes?: number;
  /** Further files are ignored, and the log says so. Default 10,000. */
  readonly maxFiles?: number;
}

/** A burst of events on one file (truncate, write, write, close) is read once, this long after the last of them. */
const QUIET_MS = 15;
/** A file that is written without pause is read at the latest after this time. */
const MAX_QUIET_MS = 200;
/** Editors remove or empty a file before they write it anew: it is gone, or empty, only when it still is after this time. */
const GRACE_MS = 100;
/** Changes that no event announces (the target of a link, network file systems) are found by looking. */
const RESCAN_MS = 2000;

/**
 * Configuration from files and directories of `*.yaml`, `*.yml` and `*.json`, watched. The first delivery carries every file; later
 * ones what changed, typically within 20 ms. A path that does not exist (yet) holds nothing, and is watched too.
 */
export function fileConfigSource(paths: readonly string[], options: FileSourceOptions = {}): ConfigSource {
  return {
    async watch(scope, receive) {
      const watcher = new FileSourceWatcher(paths, options, receive);
      await watcher.start(scope);
    },
  };
}

/**
 * Events only say where to look: a file's state is what reading it shows. One pass runs at a time; what happens meanwhile is looked
 * at in the next.
 */
class FileSourceWatcher {
  readonly #paths: readonly string[];
  readonly #options: FileSourceOptions;
  readonly #receive: (documents: readonly RawDocument[]) => void;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #reader: FileReader;
  /** When the running quiet time began; undefined while none runs. */
  #quietSince: number | undefined;
  #cancelQuiet: (() => void) | undefined;
  #pass: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(paths: readonly string[], options: FileSourceOptions, receive: (d: readonly RawDocument[]) => void) {
    this.#paths = paths;
    this.#options = options;
    this.#receive = receive;
    this.#logger = (options.logger ?? silentLogger).child({ component: "file-source" });
    this.#clock = options.clock ?? systemClock();
    this.#reader = new FileReader({
      clock: this.#clock,
      graceMs: GRACE_MS,
      maxFileBytes: options.maxFileBytes ?? 10 * 1024 * 1024,
    });
  }

  async start(scope: Scope): Promise<void> {
    const found = await this.#find();
    // Watching begins before the first reading, so that no change falls between the two.
    const directories = await watchDirectories(found.directories, {
      onEvent: () => this.#poke(),
      onError: (error) => this.#logger.warn({ event: "config.watch_failed", error: String(error) }),
    });
    const cancelRescan = this.#clock.every(RESCAN_MS, () => this.#poke());
    scope.defer(async () => {
      this.#closed = true;
      cancelRescan();
      this.#cancelQuiet?.();
      await directories.close();
      await this.#pass?.catch(() => undefined);
    });
    this.#directories = directories;
    await this.#run("first");
  }

  #directories: { update(directories: readonly string[]): void } | undefined;

  async #find() {
    const found = await findFiles(this.#paths, {
      recursive: this.#options.recursive ?? false,
      maxFiles: this.#options.maxFiles ?? 10_000,
    });
    for (const problem of found.problems) {
      if (this.#reader.isNewProblem(problem.path, problem.reason)) {
        this.#logger.warn({ event: "config.path_problem", path: problem.path, reason: problem.reason });
      }
    }
    return found;
  }

  #poke(): void {
    if (this.#closed) return;
    const now = this.#clock.monotonic();
    this.#quietSince ??= now;
    this.#cancelQuiet?.();
    const wait = Math.max(0, Math.min(QUIET_MS, this.#quietSince + MAX_QUIET_MS - now));
    this.#cancelQuiet = this.#clock.after(wait, () => {
      this.#quietSince = undefined;
      this.#cancelQuiet = undefined;
      void this.#run("later");
    });
  }

  #run(which: "first" | "later"): Promise<void> {
    if (this.#pass) {
      this.#again = true;
      return this.#pass;
    }
    this.#pass = this.#look(which).finally(() => {
      this.#pass = undefined;
      if (this.#again) {
        this.#again = false;
        this.#poke();
      }
    });
    return this.#pass;
  }

  async #look(which: "first" | "later"): Promise<void> {
    const found = await this.#find();
    this.#directories?.update(found.directories);
    const { documents, lookAgainInMs } = await this.#reader.read(found.files, found.unreadable);
    if (this.#closed) return;
    if (lookAgainInMs !== undefined) this.#clock.after(lookAgainInMs, () => this.#poke());
    if (documents.length > 0 || which === "first") this.#receive(documents);
  }
}
