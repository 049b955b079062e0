import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { type LateenError, type Logger, messageOf, silentLogger } from "@lateen/kernel";
import type { ConfigStore, StoreChange, StoredState } from "@lateen/ports";
import { closedStoreError, corruptStoreError, lockedError, storeWriteError } from "../errors.ts";
import { syncDirectory } from "../files/atomic-write.ts";
import { type FileLock, lockFile } from "../files/lock-file.ts";
import { encodeRecord, MAX_PAYLOAD_BYTES, scanJournal } from "./record.ts";
import { readSnapshot, writeSnapshot } from "./snapshot-file.ts";
import {
  applyStoredChange,
  type StoredChange,
  type StoredContent,
  toStoredChange,
  toStoredState,
} from "./stored-form.ts";

/** Read and write at positions, made when missing. Not O_APPEND: a half-written record is cut off and written over. */
const JOURNAL_FLAGS = constants.O_RDWR | constants.O_CREAT;

export interface JournalStoreOptions {
  readonly logger?: Logger;
  /** The journal is folded into a snapshot once it exceeds this, and the snapshot itself, in bytes. Default 1 MiB. */
  readonly compactBytes?: number;
  /**
   * What to do when records in the middle do not match their checksums: `refuse` (default) to load, or `keepReadable`: go on with
   * the records before the damage, keep the damaged file beside as `*.damaged`, and say so in the log.
   */
  readonly onDamage?: "refuse" | "keepReadable";
}

/** What is open between load and close. Invariant: bytes [0, size) of the journal are whole records, all acknowledged or refused. */
interface OpenStore {
  readonly lock: FileLock;
  readonly content: StoredContent;
  generation: number;
  journal: FileHandle;
  size: number;
  sequence: number;
  snapshotBytes: number;
  /** Set when the journal's end is unknown (a failed fsync, a failed truncate): nothing more is written to it. */
  broken: LateenError | undefined;
}

/**
 * A {@link ConfigStore} in a directory: `snapshot.json` and the journal that continues it. `commit` resolves after fsync, so what
 * it acknowledged survives kill -9 and power loss. One process at a time (file `lock`).
 *
 * Errors: LTN6101 in use, LTN6102 damaged, LTN6103 cannot write, LTN6104 not open, LTN6105 newer format.
 */
export function journalConfigStore(dir: string, options: JournalStoreOptions = {}): ConfigStore {
  return new JournalStore(dir, options);
}

class JournalStore implements ConfigStore {
  readonly #dir: string;
  readonly #logger: Logger;
  readonly #compactBytes: number;
  readonly #onDamage: "refuse" | "keepReadable";
  #open: OpenStore | undefined;
  /** Operations run one after the other. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(dir: string, options: JournalStoreOptions) {
    this.#dir = dir;
    this.#logger = (options.logger ?? silentLogger).child({ component: "config-store" });
    this.#compactBytes = options.compactBytes ?? 1024 * 1024;
    this.#onDamage = options.onDamage ?? "refuse";
  }

  load(): Promise<StoredState> {
    return this.#serial(async () => {
      this.#open ??= await this.#openStore();
      return toStoredState(this.#open.content);
    });
  }

  commit(change: StoreChange): Promise<void> {
    const done = this.#serial(() => this.#append(change));
    // Compaction runs behind the acknowledged commit and before the next one.
    void done.then(
      () => this.#serial(() => this.#compactIfLarge()),
      () => undefined,
    );
    return done;
  }

  close(): Promise<void> {
    return this.#serial(async () => {
      const store = this.#open;
      this.#open = undefined;
      if (!store) return;
      await store.journal.close();
      await store.lock.release();
    });
  }

  #serial<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task, task);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  #journalPath(generation: number): string {
    return join(this.#dir, `journal-${generation}.log`);
  }

  async #openStore(): Promise<OpenStore> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const lock = await lockFile(join(this.#dir, "lock"));
    try {
      const { generation, content, bytes } = await readSnapshot(join(this.#dir, "snapshot.json"));
      const journal = await open(this.#journalPath(generation), JOURNAL_FLAGS, 0o600);
      try {
        const { size, sequence } = await this.#replay(journal, generation, content);
        await syncDirectory(this.#dir);
        await this.#removeLeftovers(generation);
        return { lock, content, generation, journal, size, sequence, snapshotBytes: bytes, broken: undefined };
      } catch (error) {
        await journal.close();
        throw error;
      }
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  async #replay(journal: FileHandle, generation: number, content: StoredContent) {
    const path = this.#journalPath(generation);
    const scanned = scanJournal(await journal.readFile());
    if (scanned.end.kind === "damaged") {
      if (this.#onDamage === "refuse") throw corruptStoreError(path, scanned.validBytes, scanned.end.reason);
      await this.#setAside(journal, `${path}.damaged`);
      this.#logger.error({ event: "store.damaged", path, offset: scanned.validBytes, reason: scanned.end.reason });
    } else if (scanned.end.kind === "torn") {
      const { droppedBytes } = scanned.end;
      this.#logger.warn({ event: "store.torn_tail_dropped", path, offset: scanned.validBytes, droppedBytes });
    }
    if (scanned.end.kind !== "clean") {
      await journal.truncate(scanned.validBytes);
      await journal.sync();
    }
    for (const payload of scanned.payloads) {
      // The checksum proves that these are the bytes #append made.
      applyStoredChange(content, JSON.parse(payload.toString()) as StoredChange);
    }
    return { size: scanned.validBytes, sequence: scanned.payloads.length };
  }

  async #setAside(journal: FileHandle, path: string): Promise<void> {
    const { size } = await journal.stat();
    const bytes = Buffer.alloc(size);
    await journal.read(bytes, 0, size, 0);
    const copy = await open(path, "w", 0o600);
    try {
      await copy.writeFile(bytes);
      await copy.sync();
    } finally {
      await copy.close();
    }
  }

  /** Files of an interrupted compaction: journals that the snapshot does not name, temporary files. */
  async #removeLeftovers(generation: number): Promise<void> {
    const keep = `journal-${generation}.log`;
    for (const name of await readdir(this.#dir)) {
      const leftover = (name.startsWith("journal-") && name.endsWith(".log") && name !== keep) || name.endsWith(".tmp");
      if (leftover) await unlink(join(this.#dir, name)).catch(() => undefined);
    }
  }

  async #append(change: StoreChange): Promise<void> {
    const store = this.#open;
    if (!store) throw closedStoreError(this.#dir);
    if (store.broken) throw store.broken;
    const path = this.#journalPath(store.generation);
    if (!(await store.lock.held())) throw breakStore(store, lockedError(this.#dir, 0));
    const stored = toStoredChange(change, store.content);
    const record = encodeRecord(store.sequence + 1, Buffer.from(JSON.stringify(stored)));
    if (record.length > MAX_PAYLOAD_BYTES) throw storeWriteError(path, new Error("the change is too large"), false);
    try {
      await writeFully(store.journal, record, store.size);
    } catch (error) {
      throw await this.#undo(store, path, error);
    }
    try {
      await store.journal.datasync();
    } catch (error) {
      // After a failed fsync the kernel may have dropped the pages: what is on disk is unknown until it is read again.
      throw breakStore(store, storeWriteError(path, error, false));
    }
    store.size += record.length;
    store.sequence++;
    applyStoredChange(store.content, stored);
  }

  /** Cuts a half-written record off (disk full), so that the next commit starts at a clean end. */
  async #undo(store: OpenStore, path: string, cause: unknown): Promise<LateenError> {
    try {
      await store.journal.truncate(store.size);
      return storeWriteError(path, cause, true);
    } catch {
      return breakStore(store, storeWriteError(path, cause, false));
    }
  }

  /** New journal first, then the snapshot that names it: the rename is the moment of change, a crash at any point loses nothing. */
  async #compactIfLarge(): Promise<void> {
    const store = this.#open;
    if (!store || store.broken || store.size <= Math.max(this.#compactBytes, store.snapshotBytes)) return;
    const generation = store.generation + 1;
    const path = this.#journalPath(generation);
    let journal: FileHandle | undefined;
    try {
      journal = await open(path, JOURNAL_FLAGS | constants.O_TRUNC, 0o600);
      await journal.sync();
      await syncDirectory(this.#dir);
      store.snapshotBytes = await writeSnapshot(join(this.#dir, "snapshot.json"), generation, store.content);
    } catch (error) {
      // The old pair stays in force unless the rename happened; which of the two is known only by reading it again.
      await journal?.close().catch(() => undefined);
      await this.#afterFailedCompaction(store, generation, error);
      return;
    }
    const old = store.journal;
    const oldPath = this.#journalPath(store.generation);
    Object.assign(store, { generation, journal, size: 0, sequence: 0 });
    await old.close().catch(() => undefined);
    await unlink(oldPath).catch(() => undefined);
  }

  async #afterFailedCompaction(store: OpenStore, generation: number, error: unknown): Promise<void> {
    this.#logger.warn({ event: "store.compaction_failed", dir: this.#dir, error: messageOf(error) });
    // Try again only when the journal has grown as much once more.
    store.snapshotBytes = store.size * 2;
    const inForce = await readSnapshot(join(this.#dir, "snapshot.json")).catch(() => undefined);
    if (inForce?.generation !== store.generation) {
      store.broken = storeWriteError(join(this.#dir, "snapshot.json"), error, false);
      return;
    }
    await unlink(this.#journalPath(generation)).catch(() => undefined);
  }
}

/** Refuses every later commit with this error. */
function breakStore(store: OpenStore, error: LateenError): LateenError {
  store.broken = error;
  return error;
}

/** `write` may write less than it was given. */
async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const result = await file.write(bytes, written, bytes.length - written, position + written);
    written += result.bytesWritten;
  }
}
