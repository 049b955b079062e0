import { createWriteStream, renameSync, statSync, type WriteStream } from "node:fs";

/** Largest log file; one older file (`.1`) is kept beside it. */
const MAX_FILE_BYTES = 10 * 1024 * 1024;
/** What may wait in memory for a slow disk before lines are dropped. */
const MAX_PENDING_BYTES = 1024 * 1024;

/** A log file of bounded size. Never blocks and never grows memory: lines that the disk cannot take are dropped and counted. */
export class LogFile {
  readonly #path: string;
  #stream: WriteStream;
  #size: number;
  #dropped = 0;

  constructor(path: string) {
    this.#path = path;
    this.#size = sizeOf(path);
    this.#stream = open(path);
  }

  write(line: string): void {
    if (this.#stream.writableLength > MAX_PENDING_BYTES) {
      this.#dropped++;
      return;
    }
    if (this.#dropped > 0) {
      const note = `(${this.#dropped} lines were dropped: the disk was too slow)\n`;
      this.#dropped = 0;
      this.#append(note);
    }
    this.#append(`${line}\n`);
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#stream.end(() => resolve()));
  }

  #append(text: string): void {
    if (this.#size > MAX_FILE_BYTES) this.#rotate();
    this.#size += Buffer.byteLength(text);
    this.#stream.write(text);
  }

  #rotate(): void {
    this.#stream.end();
    try {
      renameSync(this.#path, `${this.#path}.1`);
    } catch {
      // Without the rename the same file is continued; losing the log is worse than a large one.
    }
    this.#size = 0;
    this.#stream = open(this.#path);
  }
}

function open(path: string): WriteStream {
  const stream = createWriteStream(path, { flags: "a", mode: 0o600 });
  // A full disk must not end the mesh.
  stream.on("error", () => {});
  return stream;
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}
