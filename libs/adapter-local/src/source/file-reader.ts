import { open } from "node:fs/promises";
import { sep } from "node:path";
import type { Clock } from "@lateen/kernel";
import type { RawDocument } from "@lateen/ports";
import { errorCode, isMissing } from "../files/atomic-write.ts";

export interface FileReaderOptions {
  readonly clock: Clock;
  readonly graceMs: number;
  readonly maxFileBytes: number;
}

/** Longer than the tick of any file system's clock in use. */
const RACY_MS = 100;

/** What was last delivered of one file. */
interface Delivered {
  readonly text: string | undefined;
  readonly unreadable: string | undefined;
  /** Identity and times of the file that was read; an equal stamp needs no reading. */
  readonly stamp: string;
  /** Since when the file is missing or empty without that having been delivered. */
  readonly doubtfulSince?: number;
}

type Content =
  | { readonly kind: "same" }
  | { readonly kind: "missing" }
  | { readonly kind: "text"; readonly text: string; readonly stamp: string }
  | { readonly kind: "unreadable"; readonly reason: string; readonly stamp: string };

/** Reads files and says what differs from what it said before. */
export class FileReader {
  readonly #options: FileReaderOptions;
  readonly #delivered = new Map<string, Delivered>();
  readonly #problems = new Map<string, string>();

  constructor(options: FileReaderOptions) {
    this.#options = options;
  }

  /** Whether this reason was not yet given for this path. */
  isNewProblem(path: string, reason: string): boolean {
    if (this.#problems.get(path) === reason) return false;
    this.#problems.set(path, reason);
    return true;
  }

  /**
   * Reads `files`; files known from before that are not among them are gone, unless they lie in an `unreadable` directory.
   * `lookAgainInMs` is set when a disappearance has to be confirmed.
   */
  async read(
    files: readonly string[],
    unreadable: readonly string[],
  ): Promise<{ readonly documents: readonly RawDocument[]; readonly lookAgainInMs: number | undefined }> {
    const documents: RawDocument[] = [];
    const present = new Set(files);
    let doubtful = false;
    const take = (outcome: RawDocument | "doubtful" | undefined) => {
      if (outcome === "doubtful") doubtful = true;
      else if (outcome) documents.push(outcome);
    };
    for (const file of files) take(this.#judge(file, await this.#readFile(file)));
    for (const file of this.#delivered.keys()) {
      if (present.has(file) || unreadable.some((directory) => isBelow(file, directory))) continue;
      take(this.#judge(file, { kind: "missing" }));
    }
    return { documents, lookAgainInMs: doubtful ? this.#options.graceMs : undefined };
  }

  #judge(file: string, content: Content): RawDocument | "doubtful" | undefined {
    const before = this.#delivered.get(file);
    switch (content.kind) {
      case "same":
        return undefined;
      case "missing":
        if (!before) return undefined;
        if (!this.#confirmed(file, before)) return "doubtful";
        this.#delivered.delete(file);
        return { file, text: undefined };
      case "unreadable":
        this.#delivered.set(file, { text: undefined, unreadable: content.reason, stamp: content.stamp });
        return before?.unreadable === content.reason
          ? undefined
          : { file, text: undefined, unreadable: content.reason };
      case "text": {
        const emptied = content.text.trim() === "" && before?.text !== undefined && before.text.trim() !== "";
        if (emptied && !this.#confirmed(file, before)) return "doubtful";
        this.#delivered.set(file, { text: content.text, unreadable: undefined, stamp: content.stamp });
        return before?.text === content.text ? undefined : { file, text: content.text };
      }
      default:
        return content satisfies never;
    }
  }

  /** Whether the file has looked this way for the whole grace time. */
  #confirmed(file: string, before: Delivered): boolean {
    const now = this.#options.clock.monotonic();
    const since = before.doubtfulSince ?? now;
    if (now - since >= this.#options.graceMs) return true;
    this.#delivered.set(file, { ...before, stamp: "", doubtfulSince: since });
    return false;
  }

  async #readFile(file: string): Promise<Content> {
    try {
      const handle = await open(file, "r");
      try {
        const stats = await handle.stat({ bigint: true });
        const age = this.#options.clock.now() - Number(stats.mtimeMs);
        // File times advance in ticks: of a file written just now, an equal stamp proves nothing.
        const stamp = age < RACY_MS ? "" : `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`;
        if (stamp !== "" && this.#delivered.get(file)?.stamp === stamp) return { kind: "same" };
        if (!stats.isFile()) return { kind: "unreadable", reason: "not a regular file", stamp };
        if (stats.size > BigInt(this.#options.maxFileBytes)) {
          return { kind: "unreadable", reason: `larger than ${this.#options.maxFileBytes} bytes`, stamp };
        }
        return { kind: "text", text: await handle.readFile("utf8"), stamp };
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (isMissing(error)) return { kind: "missing" };
      return { kind: "unreadable", reason: errorCode(error) ?? String(error), stamp: "" };
    }
  }
}

function isBelow(file: string, directory: string): boolean {
  return file === directory || file.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}
