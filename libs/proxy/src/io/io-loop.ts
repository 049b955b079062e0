import type { Clock } from "@lateen/kernel";
import { type IoBackend, PORTABLE } from "./backend.ts";
import { BulkReads } from "./bulk-reads.ts";
import type { Connection } from "./connection.ts";
import { Inbox, type InboxSource } from "./inbox.ts";
import { OutBuffer } from "./out-buffer.ts";
import { type Slab, SlabPool } from "./slab.ts";
import { loadSplicer, type Splicer } from "./splice.ts";
import { TimerWheel } from "./timer-wheel.ts";

/** Bytes one read into the shared buffer may bring: a body of 64 KB with its head. What a client that does not read makes us keep. */
export const READ_BYTES = 80 * 1024;
/** Bytes one read into a slab of its own may bring; what a body chunk is at most. */
export const SLAB_READ_BYTES = 256 * 1024;
/** Bytes of one read where most of a body is not read: enough for a head, few to copy, and too many to wait for their batch. */
const LITTLE_BYTES = 5 * 1024;
/** Bytes in front of a read slab, for what has to leave before the bytes that were read. */
export const ROOM_BYTES = 2 * 1024;
/** Connections that may read into memory of their own at a time, while bodies flow; others go on with the shared buffer. */
const READ_SLABS = 64;
const FREE_READ_SLABS = 8;
/** Size of {@link IoLoop.frameSlabs}. */
export const FRAME_BUFFER_BYTES = 64 * 1024;
/** Scratch memory: larger than anything a codec may unfold at once. */
const SCRATCH_BYTES = 136 * 1024;
const FREE_FRAME_SLABS = 16;

/** Of so many events outside a batch one looks whether others come with it. */
const LOOK_EVERY = 32;
/** Batches of one event after which events are taken for single ones again. */
const MOST_SINGLES = 16;

/** Somebody who gathers what it writes itself and sends it when the event is over. */
export interface Flushable {
  flush(): void;
}

/**
 * What all connections of one worker share: the buffer every read lands in, the buffer writes are gathered in, the timers.
 * Invariant: bytes in `readBuffer` are borrowed until the read callback returns; whoever needs them longer copies them.
 */
export class IoLoop {
  readonly backend: IoBackend;
  readonly readBuffer: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  /** The first part of it, for those of whom little is read. */
  readonly littleBuffer: Buffer = this.readBuffer.subarray(0, LITTLE_BYTES);
  readonly out: OutBuffer;
  readonly #inbox = new Inbox();
  readonly wheel: TimerWheel;
  /** Memory of their own for connections that move bodies: it may be written from without a copy. */
  readonly readSlabs = new SlabPool(SLAB_READ_BYTES, READ_SLABS, FREE_READ_SLABS, ROOM_BYTES);
  readonly bulk = new BulkReads(this.readSlabs, this.readBuffer);
  /** Memory to gather frames in. */
  readonly frameSlabs = new SlabPool(FRAME_BUFFER_BYTES, Number.POSITIVE_INFINITY, FREE_FRAME_SLABS);
  /** The slab that the bytes being handled now lie in, unless they lie in the shared buffer. */
  lent: Slab | undefined = undefined;
  /** Whose bytes are being handled that were read last: all it sent before has been handled, and the rest is with the kernel. */
  direct: Connection | undefined = undefined;
  /** What moves bytes between sockets; undefined: not loaded, or not to be had. */
  splicer: Splicer | undefined = undefined;
  /** Told of errors that nothing expected: the connection they came up on is closed, others go on. */
  onDefect: (error: unknown) => void = () => {};
  #splicerAsked = false;
  #closed = false;
  #depth = 0;
  #scratch: Buffer | undefined = undefined;
  #dirty: Flushable[] = [];
  /** Writes wait until all events are over that came at once. */
  #batching = false;
  /** Events since {@link #onBatchOver} was asked for; 0: it was not. */
  #events = 0;
  #untilLook = LOOK_EVERY;
  #singles = 0;
  readonly #mostSingles: number;
  readonly #batchOver = (): void => this.#onBatchOver();

  /**
   * @param backend how bytes are read and written; default: the public API of node's sockets.
   * @param batches whether writes wait until all events are over that came at once; default: as long as many come at once.
   */
  constructor(clock: Clock, backend: IoBackend = PORTABLE, batches: "measured" | "always" = "measured") {
    this.backend = backend;
    this.out = new OutBuffer(backend.kind === "handles" ? backend.parts : undefined);
    this.#batching = batches === "always";
    this.#mostSingles = batches === "always" ? Number.POSITIVE_INFINITY : MOST_SINGLES;
    this.wheel = new TimerWheel(
      clock,
      () => this.#flush(),
      (error) => this.onDefect(error),
    );
    this.out.onFirstByteOutsideCallback = () => {
      if (this.#depth === 0) queueMicrotask(() => this.out.flush());
    };
  }

  /** A body went by that need not have been read: from now on such bodies are not, if that can be had. Without it all is read. */
  wantSplicer(): void {
    if (this.#splicerAsked || this.splicer !== undefined || this.backend.kind !== "handles") return;
    this.#splicerAsked = true;
    loadSplicer().then(
      (splicer) => {
        if (this.#closed) splicer.close();
        else this.splicer = splicer;
      },
      () => {},
    );
  }

  /** Nothing fires or is spliced any more. */
  close(): void {
    this.#closed = true;
    this.wheel.close();
    this.splicer?.close();
  }

  /** Every event from the outside enters here… */
  enter(): void {
    if (this.#depth++ === 0) this.wheel.hold();
  }

  /** …and leaves here, which sends what was gathered: one write per destination and event, at the latest when its batch is over. */
  leave(): void {
    if (--this.#depth > 0) return;
    this.wheel.letGo();
    this.#countEvent();
    if (!this.#batching || this.#dirty.length > 0) this.#flush();
  }

  /** A read into {@link readBuffer}: answers whether it may wait until its batch has been read. Its bytes then come from elsewhere. */
  later(source: InboxSource, count: number): boolean {
    if (!this.#batching) return false;
    if (this.#inbox.put(source, this.readBuffer, count)) {
      this.#countEvent();
      return true;
    }
    this.catchUp();
    return false;
  }

  /** Deals with all that was read and waits. */
  catchUp(): void {
    if (this.#inbox.empty) return;
    this.enter();
    this.#inbox.deliver();
    this.leave();
  }

  #countEvent(): void {
    if (this.#events > 0) this.#events++;
    else if (this.#batching || --this.#untilLook <= 0) {
      this.#events = 1;
      setImmediate(this.#batchOver);
    }
  }

  /**
   * Under load the kernel reports many events at once. Reading from all of them, then dealing with what was read, then writing costs
   * less than doing all three for one after another, because code and data stay in the processor's caches. An event that came alone
   * gains nothing, so it is looked now and then how they come.
   */
  #onBatchOver(): void {
    this.catchUp();
    const events = this.#events;
    this.#events = 0;
    this.#untilLook = LOOK_EVERY;
    this.#singles = events > 2 ? 0 : this.#singles + 1;
    this.#batching = this.#batching ? this.#singles < this.#mostSingles : events > 2;
    this.#flush();
  }

  /** Memory for what is used up before the caller returns. */
  get scratch(): Buffer {
    this.#scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    return this.#scratch;
  }

  /** `writer.flush()` is called once when the present event is over. */
  flushLater(writer: Flushable): void {
    this.#dirty.push(writer);
    if (this.#depth === 0 && this.#dirty.length === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.out.flush();
    while (this.#dirty.length > 0) {
      const dirty = this.#dirty;
      this.#dirty = [];
      for (const writer of dirty) {
        try {
          writer.flush();
        } catch (error) {
          this.onDefect(error);
        }
      }
    }
  }
}
