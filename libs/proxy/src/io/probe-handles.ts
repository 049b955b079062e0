import { connect, createServer, type Server, type Socket } from "node:net";
import type { HandleParts } from "./handle-transport.ts";
import { handleOf, type StreamHandle, type WriteRequest, type WriteRequestClass } from "./handles.ts";
import { findStreamState, type StreamState } from "./stream-state.ts";

/** The stream of the test: at position p stands p modulo this. */
const PERIOD = 251;
const SMALL = pattern(4 * PERIOD);
const LARGE_PERIODS = 4096;
/** Loopback buffers take less than this many times 1 MB at once. */
const MOST_WRITES = 64;
const TIMEOUT_MS = 5000;

/**
 * Finds out whether stream handles behave as {@link StreamHandle} says, on a loopback connection: sizes of reads, change of the read
 * buffer, writes that finish at once and later, order, content, the end of the stream. Node's own notes of all this are used only where
 * they were right every time.
 * @throws Error saying what does not.
 */
export async function probeHandles(): Promise<HandleParts> {
  const server = createServer({ allowHalfOpen: true });
  let timer: NodeJS.Timeout | undefined;
  const sockets: Socket[] = [];
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the self-test does not come to an end")), TIMEOUT_MS);
    });
    return await Promise.race([tryOut(server, sockets), late]);
  } finally {
    clearTimeout(timer);
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

async function tryOut(server: Server, sockets: Socket[]): Promise<HandleParts> {
  const [writer, reader] = await pair(server, sockets);
  const from = handleOf(writer);
  const to = handleOf(reader);
  if (from === undefined || to === undefined) throw new Error("sockets have no handle, or one of another kind");
  const WriteRequest = requestClass(writer, from);
  const witness = new Witness(findStreamState());
  const sink = new Sink(reader, to, witness);
  await sink.until(SMALL.length);
  const small = new WriteRequest();
  check(write(from, small, SMALL) === undefined, "a small write does not finish at once");
  witness.wrote(false);
  await sink.until(2 * SMALL.length);
  // What node keeps nothing of may be used again.
  const again = witness.state === undefined ? new WriteRequest() : small;
  check(write(from, again, SMALL) === undefined, "a small write does not finish at once");
  witness.wrote(false);
  await sink.until(3 * SMALL.length);
  const large = pattern(LARGE_PERIODS * PERIOD);
  let done: Promise<number> | undefined;
  let writes = 0;
  while (done === undefined && writes++ < MOST_WRITES) done = write(from, new WriteRequest(), large);
  check(done !== undefined, "a large write is not said to be unfinished");
  witness.wrote(true);
  check((await done) === 0, "an unfinished write fails");
  check(from.writeQueueSize === 0, "a finished write still counts");
  const ended = new Promise<void>((resolve) => reader.once("end", resolve));
  writer.end();
  await ended;
  check(sink.length === 3 * SMALL.length + writes * large.length, "bytes are missing at the end of the stream");
  check(sink.sound, "bytes differ from those that were sent");
  check(sink.switched, "the read buffer cannot be changed");
  return { WriteRequest, state: witness.state, spare: undefined };
}

function pair(server: Server, sockets: Socket[]): Promise<readonly [Socket, Socket]> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") return reject(new Error("no loopback address"));
      const client = connect({ host: "127.0.0.1", port: address.port, allowHalfOpen: true });
      sockets.push(client);
      client.once("error", reject);
      server.once("connection", (accepted) => {
        sockets.push(accepted);
        accepted.pause();
        const ready = (): void => resolve([client, accepted]);
        if (client.connecting) client.once("connect", ready);
        else ready();
      });
    });
  });
}

/** The class of node's write requests, seen when a socket writes its first bytes. */
function requestClass(socket: Socket, handle: StreamHandle): WriteRequestClass {
  let found: WriteRequestClass | undefined;
  const { writeBuffer } = handle;
  handle.writeBuffer = (request, bytes) => {
    found = request.constructor as WriteRequestClass;
    return writeBuffer.call(handle, request, bytes);
  };
  socket.write(SMALL);
  delete (handle as Partial<StreamHandle>).writeBuffer;
  if (found === undefined || (found as unknown) === Object) throw new Error("sockets write in another way");
  return found;
}

/** Undefined: it finished at once. */
function write(handle: StreamHandle, request: WriteRequest, bytes: Buffer): Promise<number> | undefined {
  const done = new Promise<number>((resolve) => {
    request.oncomplete = resolve;
  });
  request.buffer = bytes;
  const failed = handle.writeBuffer(request, bytes);
  check(failed === 0, `a write fails with ${failed}`);
  return handle.writeQueueSize > 0 ? done : undefined;
}

/** Compares node's notes with what happened. */
class Witness {
  readonly #state: StreamState | undefined;
  #wrong = false;

  constructor(state: StreamState | undefined) {
    this.#state = state;
  }

  /** Undefined as soon as one note was wrong. */
  get state(): StreamState | undefined {
    return this.#wrong ? undefined : this.#state;
  }

  /** In `onread`. @param bytes what the handle itself says; 0: it is an end or an error. */
  read(bytes: number): void {
    const noted = this.#state?.values[this.#state.readBytes] ?? 0;
    if (bytes > 0 ? noted !== bytes : noted >= 0) this.#wrong = true;
  }

  /** Right after a write. */
  wrote(unfinished: boolean): void {
    if (this.#state?.values[this.#state.writeWasAsync] !== Number(unfinished)) this.#wrong = true;
  }
}

/** Reads a handle into two buffers in turn and compares what comes with what should. */
class Sink {
  readonly #buffers = [Buffer.alloc(64 * 1024), Buffer.alloc(128 * 1024)] as const;
  readonly #expected = pattern(128 * 1024 + PERIOD);
  #current = 0;
  #seen: number;
  #waiting: (() => void) | undefined;
  #waitingFor = 0;
  length = 0;
  sound = true;
  /** Reads have landed in the second buffer. */
  switched = false;

  constructor(socket: Socket, handle: StreamHandle, witness: Witness) {
    const node = handle.onread;
    this.#seen = handle.bytesRead;
    handle.onread = () => {
      const count = handle.bytesRead - this.#seen;
      witness.read(count);
      if (count <= 0) return node.call(handle);
      this.#seen = handle.bytesRead;
      return this.#received(count);
    };
    handle.useUserBuffer(this.#buffers[0]);
    handle.reading = true;
    handle.readStart();
    socket.on("error", () => this.#waiting?.());
  }

  #received(count: number): Buffer | undefined {
    const from = this.#buffers[this.#current] ?? this.#buffers[0];
    const phase = this.length % PERIOD;
    if (from.compare(this.#expected, phase, phase + count, 0, count) !== 0) this.sound = false;
    from.fill(255, 0, count);
    if (this.#current === 1) this.switched = true;
    this.length += count;
    if (this.length >= this.#waitingFor) this.#waiting?.();
    this.#current = 1 - this.#current;
    return this.#buffers[this.#current];
  }

  until(length: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waitingFor = length;
      this.#waiting = resolve;
      if (this.length >= length) resolve();
    });
  }
}

function pattern(length: number): Buffer {
  return Buffer.alloc(length, Buffer.from(Array.from({ length: PERIOD }, (_, index) => index)));
}

function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
