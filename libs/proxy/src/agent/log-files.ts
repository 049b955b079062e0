import { close, open, write } from "node:fs";
import { type Clock, type Logger, messageOf } from "@lateen/kernel";

/** Bytes that may wait for one file; what comes beyond is dropped and counted. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/**
 * Access-log files. Lines arrive in batches from the workers and leave in order, one write at a time per file, never blocking
 * anyone. {@link reopen} serves log rotation.
 */
export class LogFiles {
  readonly #files = new Map<string, LogFile>();
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Batches that found the buffer full. */
  get droppedBytes(): number {
    return [...this.#files.values()].reduce((sum, file) => sum + file.dropped, 0);
  }

  write(path: string, bytes: Uint8Array): void {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = new LogFile(path, this.#clock, this.#logger);
      this.#files.set(path, file);
    }
    file.write(bytes);
  }

  /** Opens every file again under its name, after what waits is written to the old one. */
  reopen(): void {
    for (const file of this.#files.values()) file.reopen();
  }

  /** Resolves when everything that waits is written. */
  async flush(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.flush()));
  }
}

const STANDARD: Readonly<Record<string, number>> = { "/dev/stdout": 1, "/dev/stderr": 2 };
/** A pipe whose reader is slow answers EAGAIN; we ask again after this. */
const FULL_PIPE_DELAY_MS = 20;

class LogFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #busy = false;
  #fd: number | undefined;
  #stale = false;
  #idle: (() => void)[] = [];
  #failed = false;
  dropped = 0;

  constructor(path: string, clock: Clock, logger: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
    this.#fd = STANDARD[path];
  }

  write(bytes: Uint8Array): void {
    if (this.#waitingBytes + bytes.byteLength > MAX_WAITING_BYTES) {
      this.dropped += bytes.byteLength;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    this.#next();
  }

  reopen(): void {
    if (STANDARD[this.#path] === undefined) this.#stale = true;
  }

  flush(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #next(): void {
    if (this.#busy) return;
    if (this.#waiting.length === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    this.#busy = true;
    if (this.#stale && this.#fd !== undefined) {
      this.#stale = false;
      const old = this.#fd;
      this.#fd = undefined;
      close(old, () => this.#open());
      return;
    }
    if (this.#fd === undefined) this.#open();
    else this.#writeBatch(this.#fd);
  }

  #open(): void {
    open(this.#path, "a", 0o640, (error, fd) => {
      if (error) return this.#fail(error);
      this.#stale = false;
      this.#failed = false;
      this.#fd = fd;
      this.#writeBatch(fd);
    });
  }

  #writeBatch(fd: number): void {
    const batch = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#writeRest(fd, batch, 0);
  }

  #writeRest(fd: number, batch: Buffer, from: number): void {
    write(fd, batch, from, batch.length - from, null, (error, written) => {
      if (error?.code === "EAGAIN") {
        this.#clock.after(FULL_PIPE_DELAY_MS, () => this.#writeRest(fd, batch, from));
        return;
      }
      if (error) {
        this.dropped += batch.length - from;
        return this.#fail(error);
      }
      if (from + written < batch.length) return this.#writeRest(fd, batch, from + written);
      this.#busy = false;
      this.#next();
    });
  }

  #fail(error: Error): void {
    this.dropped += this.#waitingBytes;
    this.#waiting = [];
    this.#waitingBytes = 0;
    // Said once until it works again: a full disk must not fill the log about it.
    if (!this.#failed) this.#logger.error({ event: "access_log.failed", path: this.#path, reason: messageOf(error) });
    this.#failed = true;
    this.#busy = false;
    this.#next();
  }
}
