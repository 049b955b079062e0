import { EventEmitter } from "node:events";
import { join } from "node:path";
import { LogFile } from "./log-file.ts";

/** The log files of a mesh by name, opened when first written to. Followers get lines as they come. */
export class LogBook {
  readonly #directory: string;
  readonly #files = new Map<string, LogFile>();
  readonly #followers = new EventEmitter().setMaxListeners(0);

  constructor(directory: string) {
    this.#directory = directory;
  }

  pathOf(name: string): string {
    return join(this.#directory, `${name}.log`);
  }

  write(name: string, line: string): void {
    let file = this.#files.get(name);
    if (file === undefined) {
      file = new LogFile(this.pathOf(name));
      this.#files.set(name, file);
    }
    file.write(line);
    this.#followers.emit("line", name, line);
  }

  /** Calls back for every line from now on; returns what ends that. */
  follow(receive: (name: string, line: string) => void): () => void {
    this.#followers.on("line", receive);
    return () => this.#followers.off("line", receive);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.close()));
    this.#files.clear();
  }
}
