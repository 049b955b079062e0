import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { StreamHandle, WriteRequest } from "../handles.ts";
import type { StreamState } from "../stream-state.ts";

interface Unfinished {
  readonly request: WriteRequest;
  readonly bytes: Uint8Array;
  at: number;
}

const READ_BYTES = 0;
const WRITE_WAS_ASYNC = 1;

/** Where fake handles note what happened, as node does. */
export function fakeState(): StreamState {
  return { values: new Int32Array(2), readBytes: READ_BYTES, writeWasAsync: WRITE_WAS_ASYNC };
}

/**
 * A stream handle whose kernel takes as many bytes as the test says, and the rest later, out of the very memory it was given: whoever
 * reuses that memory too early corrupts what arrives. Whoever writes with a request that the handle still holds gets an error, where node
 * would end the process.
 */
export class FakeHandle implements StreamHandle {
  onread: StreamHandle["onread"] = () => undefined;
  bytesRead = 0;
  reading = false;
  /** Called with what the peer gets. */
  readonly #deliver: (bytes: Uint8Array) => void;
  readonly #notes: Int32Array;
  #target: Uint8Array = new Uint8Array(0);
  readonly #queue: Unfinished[] = [];
  /** Requests of writes whose completion has not been told: also of such as have nothing left to write. */
  readonly #held = new Set<WriteRequest>();
  /** Bytes the kernel still takes at once. */
  room = 0;
  /** Bytes it takes more when a write that it cut short is tried again, which libuv does before it queues the rest. */
  roomAtSecondTry = 0;
  unfinished = 0;

  constructor(deliver: (bytes: Uint8Array) => void, state: StreamState = fakeState()) {
    this.#deliver = deliver;
    this.#notes = state.values;
  }

  get writeQueueSize(): number {
    return this.#queue.reduce((sum, { bytes, at }) => sum + bytes.length - at, 0);
  }

  readStart(): number {
    this.reading = true;
    return 0;
  }

  readStop(): number {
    this.reading = false;
    return 0;
  }

  useUserBuffer(buffer: Uint8Array): void {
    this.#target = buffer;
  }

  writeBuffer(request: WriteRequest, bytes: Uint8Array): number {
    if (this.#held.has(request)) throw new Error("a request is used while it is held");
    const first = this.writeQueueSize > 0 ? 0 : Math.min(this.room, bytes.length);
    this.#take(bytes, 0, first);
    this.#notes[WRITE_WAS_ASYNC] = first === bytes.length ? 0 : 1;
    if (first === bytes.length) return 0;
    this.#held.add(request);
    this.unfinished++;
    const second = this.writeQueueSize > 0 ? 0 : Math.min(this.roomAtSecondTry, bytes.length - first);
    this.room += second;
    this.#take(bytes, first, second);
    this.#queue.push({ request, bytes, at: first + second });
    return 0;
  }

  /** The kernel has room for so many bytes more, which it fills from unfinished writes first. */
  drain(room: number): void {
    this.room += room;
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const count = Math.min(this.room, first.bytes.length - first.at);
      this.#take(first.bytes, first.at, count);
      first.at += count;
      if (first.at < first.bytes.length) return;
      this.#queue.shift();
      this.#held.delete(first.request);
      first.request.oncomplete?.(0);
    }
  }

  #take(bytes: Uint8Array, start: number, count: number): void {
    this.room -= count;
    if (count > 0) this.#deliver(bytes.slice(start, start + count));
  }

  /** The peer has sent something; answers how many bytes of it were read. */
  receive(fill: (target: Uint8Array) => number): number {
    const count = fill(this.#target);
    this.bytesRead += count;
    this.#notes[READ_BYTES] = count;
    const next = this.onread();
    if (next !== undefined) this.#target = next;
    return count;
  }
}

/** A socket around a handle, as far as a connection asks for one. */
export function fakeSocket(handle: FakeHandle): Socket {
  const socket = Object.assign(new EventEmitter(), {
    _handle: handle,
    destroyed: false,
    readableLength: 0,
    destroy() {
      socket.destroyed = true;
    },
    end() {},
  });
  return socket as unknown as Socket;
}
