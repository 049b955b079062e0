import { getSystemErrorName } from "node:util";
import type { BulkReader } from "./bulk-reads.ts";
import type { Connection } from "./connection.ts";
import { isOver, requestOf, type StreamHandle, type WriteParts, type WriteRequest } from "./handles.ts";
import type { InboxOwner } from "./inbox.ts";
import { type IoLoop, ROOM_BYTES } from "./io-loop.ts";
import type { Slab } from "./slab.ts";
import { HIGH_WATER_BYTES, type Transport } from "./transport.ts";

/** A read of this size makes a connection one that moves bodies: its next reads land in memory that may be written from. */
const BULK_BYTES = 16 * 1024;

/** Reads into slabs of its own after the first one that others had to make room for; twice as many after every further one. */
const APART_READS = 8;
const MOST_DOUBLINGS = 16;

interface OwnedHandle extends StreamHandle {
  transport?: HandleTransport;
}

type ReadCallback = StreamHandle["onread"];

/** What the transports of one worker share. */
export interface HandleParts extends WriteParts {
  /** What handles of a loop call that read into its shared buffer. */
  quickRead?: { readonly io: IoLoop; readonly callback: ReadCallback } | undefined;
}

/**
 * Bytes by the stream handle below a socket. Reads call us without node's stream machinery; a write is one call that is over when
 * it returns, as long as the peer keeps up. The socket stays in charge of everything rare: FIN, errors, closing, TLS.
 *
 * The traps: memory of an unfinished write belongs to the kernel (its slab is pinned, and nobody reads or gathers into a pinned
 * slab); a TLS handle takes one write at a time, aborting the process at a second one, but has encrypted or copied the bytes when
 * the call returns.
 */
export class HandleTransport implements Transport, BulkReader, InboxOwner {
  readonly #connection: Connection;
  readonly #handle: OwnedHandle;
  readonly #parts: HandleParts;
  /** What node wants to be told: the end of the stream and errors. */
  readonly #node: StreamHandle["onread"];
  #seen: number;
  /** Called for reads that land in the shared buffer. */
  readonly #quickRead: ReadCallback;
  /** They land in other memory. */
  #elsewhere = false;
  /** Reads are to bring little at a time. */
  #little = false;
  /** Those into the shared buffer do. */
  #landsLittle = false;
  /** Reads land in the memory of all that move bodies. */
  #bulk = false;
  /** @see BulkReader */
  turns = 0;
  /** How many reads more it takes slabs of its own for, since what it read before was not taken at once. */
  #apart = 0;
  /** How often that happened. */
  #stalls = 0;
  #slab: Slab | undefined = undefined;
  /** Writes under way. */
  #pending = 0;
  /** TLS: bytes that wait for the write under way. */
  #waiting: Buffer[] | undefined = undefined;
  #waitingBytes = 0;
  #ending = false;
  #broken = false;

  /** Takes the reads of the connection's handle over, from the next one on. */
  constructor(connection: Connection, handle: StreamHandle, parts: HandleParts) {
    this.#connection = connection;
    this.#handle = handle;
    this.#parts = parts;
    this.#node = handle.onread;
    this.#seen = handle.bytesRead;
    this.#handle.transport = this;
    this.#quickRead = quickRead(parts, connection.io);
    handle.onread = this.#quickRead;
    handle.useUserBuffer(connection.io.readBuffer);
  }

  get queued(): number {
    return this.#connection.secure ? this.#waitingBytes + this.#pending : this.#handle.writeQueueSize;
  }

  /** Of a plain socket node hears of an end from us alone, and asking it costs. */
  get broken(): boolean {
    return this.#broken || (this.#connection.secure && this.#connection.socket.destroyed);
  }

  pause(): void {
    this.#handle.reading = false;
    this.#handle.readStop();
  }

  resume(): void {
    this.#handle.reading = true;
    this.#handle.readStart();
  }

  end(): void {
    if (this.#pending > 0) this.#ending = true;
    else this.#connection.socket.end();
  }

  // ------------------------------------------------------------------ reads

  /** @internal */
  onRead(handle: StreamHandle): Uint8Array | undefined {
    const count = this.#readCount(handle);
    const { io } = this.#connection;
    if (count <= 0) {
      io.catchUp();
      const memory = this.#node.call(handle);
      this.#broken = this.#connection.socket.destroyed;
      return memory;
    }
    const slab = this.#slab ?? (this.#bulk ? io.bulk.slab : undefined);
    if (slab === undefined) {
      if (this.#parts.state === undefined && io.later(handle as OwnedHandle, count)) return undefined;
      io.direct = this.#connection;
      this.#connection.received(io.readBuffer, count);
      io.direct = undefined;
      if (this.#little !== this.#landsLittle) return this.#landShared();
      if (this.#little || count < BULK_BYTES) return undefined;
      // Sent before the next read of the same event: only then is it known whether whoever gets these bytes keeps up.
      io.out.flush();
      return this.#nextMemory();
    }
    const outer = io.lent;
    io.lent = slab;
    this.#connection.received(slab.bytes, ROOM_BYTES + count, ROOM_BYTES);
    io.lent = outer;
    return this.#afterBulkRead(slab, count);
  }

  /** @see InboxOwner */
  received(bytes: Buffer, end: number, start: number): void {
    this.#connection.received(bytes, end, start);
  }

  /** @see Transport */
  readLittle(on: boolean): void {
    this.#little = on;
  }

  /** Where reads land decides who is called for them. */
  #landsElsewhere(elsewhere: boolean): void {
    if (elsewhere === this.#elsewhere) return;
    this.#elsewhere = elsewhere;
    this.#handle.onread = elsewhere ? onRead : this.#quickRead;
  }

  /** Where the read after one into a slab lands. */
  #afterBulkRead(slab: Slab, count: number): Uint8Array | undefined {
    const { io } = this.#connection;
    const { pinned } = slab;
    if (pinned && this.#bulk) {
      this.#apart = APART_READS << Math.min(this.#stalls++, MOST_DOUBLINGS);
      this.#leaveBulk();
    } else if (this.#slab !== undefined) this.#apart--;
    // Others that read into it must not, whatever became of this one.
    if (pinned) io.bulk.renew();
    if (this.#connection.closed) return undefined;
    const more = count >= BULK_BYTES && !this.#little;
    if (more && !pinned && (this.#bulk || this.#apart > 0)) return undefined;
    this.closed();
    const memory = more ? this.#nextMemory() : undefined;
    if (memory === undefined) this.#landsElsewhere(false);
    return memory ?? this.#landShared();
  }

  /** The part of the shared buffer that the next read lands in. */
  #landShared(): Uint8Array {
    const { io } = this.#connection;
    this.#landsLittle = this.#little;
    return this.#little ? io.littleBuffer : io.readBuffer;
  }

  #readCount(handle: StreamHandle): number {
    const { state } = this.#parts;
    if (state !== undefined) return state.values[state.readBytes] as number;
    const total = handle.bytesRead;
    const count = total - this.#seen;
    if (count > 0) this.#seen = total;
    return count;
  }

  /** Where the next read lands, while bodies flow; undefined leaves it where it was. */
  #nextMemory(): Uint8Array | undefined {
    const { io, closed } = this.#connection;
    if (closed) return undefined;
    const memory = this.#apart > 0 ? undefined : io.bulk.join(this);
    this.#bulk = memory !== undefined;
    if (memory === undefined) {
      this.#apart = Math.max(this.#apart, APART_READS);
      this.#slab = io.readSlabs.take();
    }
    const next = memory ?? this.#slab?.area;
    if (next !== undefined) this.#landsElsewhere(true);
    return next;
  }

  /** @see BulkReader */
  readInto(memory: Uint8Array): void {
    this.#handle.useUserBuffer(memory);
  }

  /** @see BulkReader */
  dropped(): void {
    this.#bulk = false;
    this.#landsLittle = false;
    this.#landsElsewhere(false);
  }

  closed(): void {
    this.#leaveBulk();
    this.#dropSlab();
  }

  #leaveBulk(): void {
    if (!this.#bulk) return;
    this.#bulk = false;
    this.#connection.io.bulk.leave(this);
  }

  #dropSlab(): void {
    this.#slab?.release();
    this.#slab = undefined;
  }

  // ------------------------------------------------------------------ writes

  send(bytes: Buffer, slab: Slab): void {
    if (!this.#connection.secure) this.#sendPlain(bytes, slab);
    else if (this.#pending > 0) this.#wait(bytes);
    else this.#sendSecure(bytes);
  }

  get idleHandle(): StreamHandle | undefined {
    return this.#pending > 0 || this.#connection.secure ? undefined : this.#handle;
  }

  /** @see Transport */
  get descriptor(): number {
    return this.#pending > 0 || this.#connection.secure ? -1 : (this.#handle.fd ?? -1);
  }

  #sendPlain(bytes: Buffer, slab: Slab): void {
    // Behind an unfinished write the bytes would wait where they are: a copy of its own frees the slab.
    const own = this.#pending > 0;
    const parts = this.#parts;
    const request = requestOf(parts);
    const data = own ? Buffer.from(bytes) : bytes;
    const failed = this.#handle.writeBuffer(request, data);
    if (failed === 0 && isOver(parts)) parts.spare = request;
    else this.written(failed, request, data, own ? undefined : slab);
  }

  /** @param slab what `data` lies in; undefined: it is a copy of its own. */
  written(failed: number, request: WriteRequest, data: Buffer, slab: Slab | undefined): void {
    if (failed !== 0) {
      this.#fail(failed);
      return;
    }
    const queued = this.#handle.writeQueueSize;
    if (queued === 0) return;
    slab?.pin();
    this.#start(request, data, slab);
    // The kernel holds as much as it may for this peer, and the write keeps all of its slab: nothing is gained by a second one behind it.
    this.#connection.congested = true;
  }

  #sendSecure(bytes: Buffer): void {
    const request = new this.#parts.WriteRequest();
    this.#start(request, bytes, undefined);
    const failed = this.#handle.writeBuffer(request, bytes);
    if (failed === 0) return;
    this.#pending--;
    this.#fail(failed);
  }

  #wait(bytes: Buffer): void {
    this.#waiting ??= [];
    this.#waiting.push(Buffer.from(bytes));
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= HIGH_WATER_BYTES) this.#connection.congested = true;
  }

  #start(request: WriteRequest, bytes: Buffer, slab: Slab | undefined): void {
    this.#pending++;
    request.buffer = bytes;
    request.oncomplete = (status) => {
      slab?.unpin();
      this.#written(status);
    };
  }

  #written(status: number): void {
    this.#pending--;
    if (this.#connection.closed) return;
    if (status < 0) {
      this.#fail(status);
      return;
    }
    if (this.#pending > 0) return;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      this.#waitingBytes = 0;
      this.#sendSecure(waiting.length === 1 ? (waiting[0] as Buffer) : Buffer.concat(waiting));
    }
    if (this.#connection.congested) this.#connection.drained();
    if (this.#pending === 0 && this.#ending) {
      this.#ending = false;
      this.#connection.socket.end();
    }
  }

  #fail(status: number): void {
    const code = getSystemErrorName(status);
    this.#broken = true;
    this.#connection.socket.destroy(Object.assign(new Error(`write ${code}`), { code }));
  }
}

function onRead(this: StreamHandle): Uint8Array | undefined {
  return (this as OwnedHandle).transport?.onRead(this);
}

/** Reads into the shared buffer. What waits for its batch costs no look at anything but the read itself. */
function quickRead(parts: HandleParts, io: IoLoop): ReadCallback {
  const { state } = parts;
  if (state === undefined) return onRead;
  if (parts.quickRead?.io === io) return parts.quickRead.callback;
  const callback: ReadCallback = function (this: OwnedHandle) {
    const count = state.values[state.readBytes] as number;
    return count > 0 && io.later(this, count) ? undefined : this.transport?.onRead(this);
  };
  parts.quickRead = { io, callback };
  return callback;
}
