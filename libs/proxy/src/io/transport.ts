import type { StreamHandle, WriteRequest } from "./handles.ts";
import type { Slab } from "./slab.ts";

/** Most bytes that may wait in user space for a slow reader before the source is paused. */
export const HIGH_WATER_BYTES = 64 * 1024;

/** What carries the bytes of one connection. There are two: node's sockets, and the stream handles below them. */
export interface Transport {
  /** Bytes that wait in user space for the peer. */
  readonly queued: number;
  /** It ended by itself, which the connection hears of in a moment. */
  readonly broken: boolean;
  /** What bytes may be written to past this transport, which then is told by {@link written}; undefined: they have to be sent by it. */
  readonly idleHandle: StreamHandle | undefined;
  /** Descriptor of a plain socket that nothing waits for; negative: there is none, or it must not be written to now. */
  readonly descriptor: number;
  /** Lets reads bring few bytes at a time, because most of what comes is not to be read at all; or not any more. */
  readLittle(on: boolean): void;
  /** What became of a write to {@link idleHandle}; not called for those that were over at once. */
  written(failed: number, request: WriteRequest, bytes: Buffer, slab: Slab): void;
  /** Sends `bytes`. They are free again when it returns, unless `slab`, which they lie in, is pinned. */
  send(bytes: Buffer, slab: Slab): void;
  pause(): void;
  resume(): void;
  /** FIN, once everything is written. Reading goes on. */
  end(): void;
  /** The connection is gone. */
  closed(): void;
}
