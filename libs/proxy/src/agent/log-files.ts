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

  /** @param done told when the bytes are not needed any more, written or not. */
  write(path: string, bytes: Uint8Array, done: () => void = () => {}): void {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = new LogFile(path, this.#clock, this.#logger);
      this.#files.set(path, file);
    }
    file.write({ bytes, done });
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

interface Batch {
  readonly bytes: Uint8Array;
  readonly done: () => void;
}

class LogFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #waiting: Batch[] = [];
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

  write(batch: Batch): void {
    const { byteLength } = batch.bytes;
    if (this.#waitingBytes + byteLength > MAX_WAITING_BYTES) {
      this.dropped += byteLength;
      batch.done();
      return;
    }
    this.#waiting.push(batch);
    this.#waitingBytes += byteLength;
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
    const batch = this.#waiting.shift();
    if (batch === undefined) {
      this.#over();
      return;
    }
    this.#waitingBytes -= batch.bytes.byteLength;
    this.#writeRest(fd, batch, 0);
  }

  #writeRest(fd: number, batch: Batch, from: number): void {
    const { byteLength } = batch.bytes;
    write(fd, batch.bytes, from, byteLength - from, null, (error, written) => {
      if (error?.code === "EAGAIN") {
        this.#clock.after(FULL_PIPE_DELAY_MS, () => this.#writeRest(fd, batch, from));
        return;
      }
      if (error) {
        this.dropped += byteLength - from;
        batch.done();
        return this.#fail(error);
      }
      if (from + written < byteLength) return this.#writeRest(fd, batch, from + written);
      batch.done();
      this.#over();
    });
  }

  #fail(error: Error): void {
    this.dropped += this.#waitingBytes;
    for (const { done } of this.#waiting) done();
    this.#waiting = [];
    this.#waitingBytes = 0;
    // Said once until it works again: a full disk must not fill the log about it.
    if (!this.#failed) this.#logger.error({ event: "access_log.failed", path: this.#path, reason: messageOf(error) });
    this.#failed = true;
    this.#over();
  }

  #over(): void {
    this.#busy = false;
    this.#next();
  }
}
