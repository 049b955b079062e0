import type { Socket } from "node:net";
import type { StreamState } from "./stream-state.ts";

/** Request object of one write on a handle. */
export interface WriteRequest {
  oncomplete: ((status: number) => void) | undefined;
  /** Keeps the memory alive while the kernel takes it. */
  buffer: Uint8Array | undefined;
}

/**
 * The stream handle below a socket (libuv's TCP stream, or node's TLS stream over it), as far as we use it. Not a public interface of
 * node: {@link probeHandles} finds out at start whether it still behaves as described here.
 */
export interface StreamHandle {
  /** Called for every read, with `this` being the handle; what it returns is read into from then on. */
  onread: (this: StreamHandle, ...args: readonly unknown[]) => Uint8Array | undefined;
  /** Bytes read so far: what tells the size of a read. */
  readonly bytesRead: number;
  /** Bytes of unfinished writes (TCP). */
  readonly writeQueueSize: number;
  /** Descriptor of the socket; negative when it is closed. */
  readonly fd?: number;
  /** Whether reading is on, as node's sockets keep book. */
  reading: boolean;
  readStart(): number;
  readStop(): number;
  /** Reads land in this memory from now on. */
  useUserBuffer(buffer: Uint8Array): void;
  /** Tries to write at once; what the kernel does not take it writes later, and calls `oncomplete`. Answers a negative errno on failure. */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  setNoDelay?(on: boolean): number;
}

export type WriteRequestClass = new () => WriteRequest;

/** The handle of a connected socket, if it has one that can do all this. */
export function handleOf(socket: Socket): StreamHandle | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle?: Partial<StreamHandle> | null };
  if (handle === undefined || handle === null) return undefined;
  const able =
    typeof handle.onread === "function" &&
    typeof handle.bytesRead === "number" &&
    typeof handle.writeQueueSize === "number" &&
    typeof handle.readStart === "function" &&
    typeof handle.readStop === "function" &&
    typeof handle.useUserBuffer === "function" &&
    typeof handle.writeBuffer === "function";
  return able ? (handle as StreamHandle) : undefined;
}

/** What it takes to write to handles. */
export interface WriteParts {
  readonly WriteRequest: WriteRequestClass;
  /** Undefined: node does not give it out, or it did not tell the truth. */
  readonly state: StreamState | undefined;
  /** A request that node has let go of. */
  spare: WriteRequest | undefined;
}

/** A request to write with: one from before only if node says that it kept nothing of it, for using one twice ends the process. */
export function requestOf(parts: WriteParts): WriteRequest {
  const request = parts.spare ?? new parts.WriteRequest();
  parts.spare = undefined;
  return request;
}

/** Node says that the write it was asked for last is over. An empty queue does not tell. */
export function isOver({ state }: WriteParts): boolean {
  return state !== undefined && state.values[state.writeWasAsync] === 0;
}
