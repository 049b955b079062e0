import { getSystemErrorName } from "node:util";
import type { Connection } from "./connection.ts";
import type { StreamHandle, WriteRequest, WriteRequestClass } from "./handles.ts";
import { ROOM_BYTES } from "./io-loop.ts";
import type { Slab } from "./slab.ts";
import type { StreamState } from "./stream-state.ts";
import { HIGH_WATER_BYTES, type Transport } from "./transport.ts";

/** A read of this size makes a connection one that moves bodies: its next reads land in a slab of its own. */
const BULK_BYTES = 16 * 1024;

interface OwnedHandle extends StreamHandle {
  transport?: HandleTransport;
}

/** What the transports of one worker share. */
export interface HandleParts {
  readonly WriteRequest: WriteRequestClass;
  /** Undefined: node does not give it out, or it did not tell the truth. */
  readonly state: StreamState | undefined;
  /** A request that node has let go of. */
  spare: WriteRequest | undefined;
}

/**
 * Bytes by the stream handle below a socket. Reads call us without node's stream machinery; a write is one call that is over when
 * it returns, as long as the peer keeps up. The socket stays in charge of everything rare: FIN, errors, closing, TLS.
 *
 * The traps: memory of an unfinished write belongs to the kernel (its slab is pinned, and nobody reads or gathers into a pinned
 * slab); a TLS handle takes one write at a time, aborting the process at a second one, but has encrypted or copied the bytes when
 * the call returns.
 */
export class HandleTransport implements Transport {
  readonly #connection: Connection;
  readonly #handle: OwnedHandle;
  readonly #parts: HandleParts;
  /** What node wants to be told: the end of the stream and errors. */
  readonly #node: StreamHandle["onread"];
  #seen: number;
  #slab: Slab | undefined = undefined;
  /** Writes under way. */
  #pending = 0;
  /** TLS: bytes that wait for the write under way. */
  #waiting: Buffer[] | undefined = undefined;
  #waitingBytes = 0;
  #ending = false;

  /** Takes the reads of the connection's handle over, from the next one on. */
  constructor(connection: Connection, handle: StreamHandle, parts: HandleParts) {
    this.#connection = connection;
    this.#handle = handle;
    this.#parts = parts;
    this.#node = handle.onread;
    this.#seen = handle.bytesRead;
    this.#handle.transport = this;
    handle.onread = onRead;
    handle.useUserBuffer(connection.io.readBuffer);
  }

  get queued(): number {
    return this.#connection.secure ? this.#waitingBytes + this.#pending : this.#handle.writeQueueSize;
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
    if (count <= 0) return this.#node.call(handle);
    const { io } = this.#connection;
    const slab = this.#slab;
    if (slab === undefined) {
      this.#connection.received(io.readBuffer, count);
      return count >= BULK_BYTES ? this.#ownSlab() : undefined;
    }
    const outer = io.lent;
    io.lent = slab;
    this.#connection.received(slab.bytes, ROOM_BYTES + count, ROOM_BYTES);
    io.lent = outer;
    if (this.#slab === undefined) return undefined;
    if (count < BULK_BYTES) {
      this.#dropSlab();
      return io.readBuffer;
    }
    if (!slab.pinned) return undefined;
    slab.release();
    return this.#ownSlab() ?? io.readBuffer;
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
  #ownSlab(): Uint8Array | undefined {
    this.#slab = this.#connection.closed ? undefined : this.#connection.io.readSlabs.take();
    return this.#slab?.area;
  }

  closed(): void {
    this.#dropSlab();
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

  #sendPlain(bytes: Buffer, slab: Slab): void {
    // Behind an unfinished write the bytes would wait where they are: a copy of its own frees the slab.
    const own = this.#pending > 0;
    const parts = this.#parts;
    const { state } = parts;
    // One from before only if node says that it kept nothing: an empty queue does not tell, and using one twice ends the process.
    const request = parts.spare ?? new parts.WriteRequest();
    parts.spare = undefined;
    const data = own ? Buffer.from(bytes) : bytes;
    const failed = this.#handle.writeBuffer(request, data);
    if (failed !== 0) {
      this.#fail(failed);
      return;
    }
    if (state !== undefined && state.values[state.writeWasAsync] === 0) {
      parts.spare = request;
      return;
    }
    const queued = this.#handle.writeQueueSize;
    if (queued === 0) return;
    if (!own) slab.pin();
    this.#start(request, data, own ? undefined : slab);
    if (queued >= HIGH_WATER_BYTES) this.#connection.congested = true;
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
    this.#connection.socket.destroy(Object.assign(new Error(`write ${code}`), { code }));
  }
}

function onRead(this: StreamHandle): Uint8Array | undefined {
  return (this as OwnedHandle).transport?.onRead(this);
}
