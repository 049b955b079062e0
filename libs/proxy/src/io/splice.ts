import type { Connection } from "./connection.ts";
import type { OutBuffer } from "./out-buffer.ts";

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_MORE = 0x8000;

/** Bytes that are moved at a time; what a target does not take of them comes back into our memory. */
const MOST_BYTES = 64 * 1024;
/** Capacity asked for: bytes that do not begin where a page does take more room. */
const PIPE_BYTES = 2 * MOST_BYTES;
/** A body of which less is to come is not worth the calls. */
export const LEAST_SPLICED = 24 * 1024;

/** The system calls it takes. Each answers what the kernel does: a negative number on failure. */
export interface SpliceCalls {
  splice(from: number, to: number, length: number, flags: number): number;
  send(socket: number, address: number, length: number, flags: number): number;
  read(fd: number, into: Buffer, length: number): number;
  close(fd: number): number;
  /** Where the memory lies, for {@link send}. */
  address(memory: Buffer): number;
}

/** A pipe's end for reading and its end for writing. */
type Pipe = readonly [number, number];

/**
 * Bytes that go from one socket to another without ever being in our memory: the kernel hands over the pages they lie in, by way of a
 * pipe, which is empty again after each call.
 * @see splice(2)
 */
export class Splicer {
  readonly #calls: SpliceCalls;
  readonly #pipe: Pipe;
  /** Whose address is known: what is gathered lies in the same memory again and again. */
  #known: Buffer | undefined = undefined;
  #address = 0;
  #closed = false;
  /** Bytes moved so far. */
  moved = 0;
  /** What the target did not take of the bytes of the last {@link move}; to be written to it in the usual way. */
  left: Buffer | undefined = undefined;
  /** The source had more than it was asked for in that {@link move}; one byte of it is lost. */
  surplus = false;

  constructor(calls: SpliceCalls, pipe: Pipe) {
    this.#calls = calls;
    this.#pipe = pipe;
  }

  /**
   * Moves up to `most` bytes of what `source` has received and nobody has read, which is all that may come of it. What was written to
   * the target before leaves first. Answers how many the target took; {@link left} has those it did not. 0 and nothing left: there were
   * none, or it cannot be done now.
   */
  move(source: Connection, target: Connection, most: number): number {
    this.left = undefined;
    this.surplus = false;
    if (this.#closed || target.closed || target.finished || target.congested) return 0;
    const { out } = target.io;
    out.flushBefore(target);
    // Asked for each time: a descriptor that was closed may be somebody else's by now.
    const from = source.transport.descriptor;
    const to = target.transport.descriptor;
    if (from < 0 || to < 0) return 0;
    const [, into] = this.#pipe;
    // One byte too many tells without another call whether something stands behind the last one.
    const came = this.#calls.splice(from, into, Math.min(most + 1, MOST_BYTES), SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (came <= 0) return 0;
    this.surplus = came > most;
    const ours = Math.min(came, most);
    const took = this.#sendHeld(out, target, to) ? this.#empty(to, ours) : 0;
    if (took < came) {
      const back = this.#takeBack(came - took);
      if (took < ours) this.left = back.subarray(0, ours - took);
    }
    target.bytesWritten += took;
    this.moved += took;
    return took;
  }

  /** From the pipe to the target; answers how many it took. */
  #empty(to: number, bytes: number): number {
    const [from] = this.#pipe;
    let took = 0;
    while (took < bytes) {
      const some = this.#calls.splice(from, to, bytes - took, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (some <= 0) break;
      took += some;
    }
    return took;
  }

  /** Sends what was gathered for the target, to leave together with what follows; false: it did not take all of it. */
  #sendHeld(out: OutBuffer, target: Connection, to: number): boolean {
    const held = out.heldFor(target);
    if (held === 0) return true;
    if (out.buffer !== this.#known) {
      this.#known = out.buffer;
      this.#address = this.#calls.address(out.buffer);
    }
    const flags = MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL;
    const sent = this.#calls.send(to, this.#address + out.length - held, held, flags);
    if (sent > 0) {
      out.sentOfHeld(target, sent);
      target.bytesWritten += sent;
    }
    return sent === held;
  }

  #takeBack(bytes: number): Buffer {
    const [from] = this.#pipe;
    const memory = Buffer.allocUnsafeSlow(bytes);
    let got = 0;
    while (got < bytes) {
      const some = this.#calls.read(from, memory.subarray(got), bytes - got);
      if (some <= 0) {
        // What remains would be sent to somebody else.
        this.close();
        throw new Error(`a pipe that holds ${bytes - got} bytes gave none`);
      }
      got += some;
    }
    return memory;
  }

  /** Moves nothing any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#pipe) this.#calls.close(end);
  }
}

/**
 * Tries the calls out on a pair of sockets of its own.
 * @throws Error where they cannot be had, or do not do what they should: not Linux, no koffi for this machine, a filter of system calls.
 */
export async function loadSplicer(): Promise<Splicer> {
  if (process.platform !== "linux") throw new Error(`splice(2) is Linux's, this is ${process.platform}`);
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  const pipe2: (ends: Int32Array, flags: number) => number = libc.func("int pipe2(_Out_ int *ends, int flags)");
  const fcntl: (fd: number, command: number, value: number) => number = libc.func(
    "int fcntl(int fd, int command, int value)",
  );
  const splice: (from: number, _: null, to: number, __: null, length: number, flags: number) => number = libc.func(
    "int64_t splice(int from, void *from_offset, int to, void *to_offset, size_t length, unsigned int flags)",
  );
  const calls: SpliceCalls = {
    splice: (from, to, length, flags) => splice(from, null, to, null, length, flags),
    send: libc.func("int64_t send(int socket, uintptr_t address, size_t length, int flags)"),
    read: libc.func("int64_t read(int fd, _Out_ uint8_t *into, size_t length)"),
    close: libc.func("int close(int fd)"),
    address: (memory) => Number(koffi.address(memory)),
  };
  const ends = new Int32Array(2);
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) !== 0) throw new Error("no pipe can be had");
  const pipe: Pipe = [ends[0] as number, ends[1] as number];
  // Where it may not be that large a splice moves less.
  fcntl(pipe[1], F_SETPIPE_SZ, PIPE_BYTES);
  const splicer = new Splicer(calls, pipe);
  try {
    tryOut(calls, pipe, libc.func("int socketpair(int domain, int type, int protocol, _Out_ int *ends)"));
  } catch (error) {
    splicer.close();
    throw error;
  }
  return splicer;
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;

function tryOut(
  calls: SpliceCalls,
  [pipeOut, pipeIn]: Pipe,
  socketpair: (...args: [number, number, number, Int32Array]) => number,
): void {
  const pair = new Int32Array(2);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) !== 0) throw new Error("no pair of sockets can be had");
  const [one = -1, other = -1] = pair;
  try {
    const said = Buffer.from("spliced");
    const heard = Buffer.alloc(said.length);
    const { length } = said;
    const moved =
      calls.send(one, calls.address(said), length, MSG_DONTWAIT | MSG_NOSIGNAL) === length &&
      calls.splice(other, pipeIn, length, SPLICE_F_NONBLOCK) === length &&
      calls.splice(pipeOut, other, length, SPLICE_F_NONBLOCK) === length &&
      calls.read(one, heard, length) === length;
    if (!moved || !heard.equals(said)) throw new Error("splice(2) did not bring bytes from socket to socket");
  } finally {
    calls.close(one);
    calls.close(other);
  }
}
