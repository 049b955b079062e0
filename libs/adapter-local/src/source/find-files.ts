import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { errorCode, isMissing } from "../files/atomic-write.ts";

/** What the given paths hold at this moment. */
export interface FoundFiles {
  /** Paths as the user would write them: the given path, joined with what is below it. */
  readonly files: readonly string[];
  /** Directories whose events matter. */
  readonly directories: readonly string[];
  /** Directories that are there and could not be listed: nothing is known about the files in them. */
  readonly unreadable: readonly string[];
  readonly problems: readonly { readonly path: string; readonly reason: string }[];
}

export interface FindOptions {
  readonly recursive: boolean;
  readonly maxFiles: number;
}

const EXTENSIONS: ReadonlySet<string> = new Set([".yaml", ".yml", ".json"]);
/** JSON that lies beside sources and is never configuration. */
const NOT_CONFIG = /^(package|package-lock|tsconfig(\..*)?|jsconfig|project|nx|deno)\.json$/;

/** Lists the files that hold configuration, in the order of the given paths and by name below each. */
export async function findFiles(paths: readonly string[], options: FindOptions): Promise<FoundFiles> {
  const search = new Search(options);
  for (const path of paths) await search.root(path);
  return {
    files: [...search.files],
    directories: [...search.directories],
    unreadable: search.unreadable,
    problems: search.problems,
  };
}

class Search {
  readonly files = new Set<string>();
  readonly directories = new Set<string>();
  readonly unreadable: string[] = [];
  readonly problems: { readonly path: string; readonly reason: string }[] = [];
  readonly #options: FindOptions;
  #full = false;

  constructor(options: FindOptions) {
    this.#options = options;
  }

  async root(path: string): Promise<void> {
    try {
      const stats = await stat(path);
      if (stats.isDirectory()) return await this.#directory(path);
      this.directories.add(dirname(path));
      // Opening a pipe would wait for its writer.
      if (stats.isFile()) this.#file(path);
      else this.#unreadable(path, "not a regular file");
    } catch (error) {
      // Watched by its parent, so that it is seen when it appears.
      this.directories.add(dirname(path));
      if (isMissing(error)) this.problems.push({ path, reason: "no such file or directory" });
      else this.#unreadable(path, error);
    }
  }

  async #directory(path: string): Promise<void> {
    this.directories.add(path);
    let entries: Dirent[];
    try {
      entries = await readdir(path, { withFileTypes: true });
    } catch (error) {
      if (!isMissing(error)) this.#unreadable(path, error);
      return;
    }
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) await this.#entry(path, entry);
  }

  async #entry(directory: string, entry: Dirent): Promise<void> {
    // Hidden entries: editors' swap files, `..data` of mounted ConfigMaps (reached through the links beside it).
    if (entry.name.startsWith(".") || entry.name === "node_modules") return;
    const path = join(directory, entry.name);
    const isConfig = EXTENSIONS.has(extname(entry.name).toLowerCase()) && !NOT_CONFIG.test(entry.name);
    if (entry.isFile()) {
      if (isConfig) this.#file(path);
    } else if (entry.isDirectory()) {
      if (this.#options.recursive) await this.#directory(path);
    } else if (entry.isSymbolicLink() && isConfig && (await isFileLink(path))) {
      // Links to directories are not followed: they may lead in circles.
      this.#file(path);
    }
  }

  #file(path: string): void {
    if (this.files.size < this.#options.maxFiles) {
      this.files.add(path);
    } else if (!this.#full) {
      this.#full = true;
      this.problems.push({
        path,
        reason: `more than ${this.#options.maxFiles} files; this one and those after it are ignored`,
      });
    }
  }

  #unreadable(path: string, error: unknown): void {
    this.unreadable.push(path);
    this.problems.push({ path, reason: errorCode(error) ?? String(error) });
  }
}

/** A link that leads nowhere counts as a file: reading it finds it missing, and it may come back. */
async function isFileLink(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return true;
  }
}
