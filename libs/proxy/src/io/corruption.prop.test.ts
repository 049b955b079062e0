import { type Clock, systemClock } from "@lateen/kernel";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Connection } from "./connection.ts";
import { type HandleParts, HandleTransport } from "./handle-transport.ts";
import type { WriteRequest } from "./handles.ts";
import { IoLoop, SLAB_READ_BYTES } from "./io-loop.ts";
import type { StreamState } from "./stream-state.ts";
import { FakeHandle, fakeSocket, fakeState } from "./testing/fake-stream.ts";

class FakeRequest implements WriteRequest {
  oncomplete: ((status: number) => void) | undefined = undefined;
  buffer: Uint8Array | undefined = undefined;
}

const clock: Clock = systemClock();

/** A prime, so that no slab and no read is a multiple of it. */
const PERIOD = 65_521;
const NOISE = Buffer.alloc(
  SLAB_READ_BYTES + PERIOD,
  Uint8Array.from({ length: PERIOD }, (_, index) => Math.imul(index, 2654435761) >>> 24),
);

const NOTHING: Buffer = Buffer.alloc(0);

/** Where in the noise a position of a stream is; streams differ. */
const phase = (stream: number, position: number): number => (position + stream * 1009) % PERIOD;

/** One direction of a relay: what arrives at `from` goes out at `to`, which is paused for. */
class Relay {
  readonly stream: number;
  readonly source: FakeHandle;
  readonly sink: FakeHandle;
  readonly from: Connection;
  readonly to: Connection;
  sent = 0;
  arrived = 0;
  corrupt = 0;

  /** What is sent in front of each half of a read and was never read, as a codec sends heads and chunk sizes. */
  readonly #headBytes: number;
  /** What belongs to reads whose bytes have not come up yet. */
  readonly #reads: { readonly front: Buffer; readonly between: Buffer; readonly half: number }[] = [];

  constructor(world: World, stream: number, heads: boolean) {
    this.#headBytes = heads ? 300 : 0;
    const { io, parts, state, late } = world;
    this.stream = stream;
    this.source = new FakeHandle(() => {}, state);
    this.sink = new FakeHandle((bytes) => {
      const at = phase(stream, this.arrived);
      if (NOISE.compare(bytes, 0, bytes.length, at, at + bytes.length) !== 0) this.corrupt++;
      this.arrived += bytes.length;
    }, state);
    this.from = open(io, this.source, parts);
    this.to = open(io, this.sink, parts);
    const { from, to } = this;
    from.handler = {
      onBytes: (bytes, start, end) => {
        const { front, between, half } = this.#reads.shift() ?? { front: NOTHING, between: NOTHING, half: 0 };
        const middle = start + half;
        to.write(front, 0, front.length);
        to.write(bytes, start, middle);
        to.write(between, 0, between.length);
        to.write(bytes, middle, end);
        if (!late) io.out.flushFor(to);
        if (to.congested) from.pause();
      },
      onEnd() {},
      onDrain() {},
      onClose() {},
    };
    to.handler = { onBytes() {}, onEnd() {}, onDrain: () => from.resume(), onClose() {} };
  }

  read(limit: number): void {
    if (!this.source.reading) return;
    this.source.receive((target) => {
      const count = Math.min(limit, target.length);
      const half = this.#headBytes > 0 ? count >> 1 : count;
      const front = this.#noise(this.#headBytes);
      target.set(this.#noise(half));
      const between = this.#noise(this.#headBytes);
      target.set(this.#noise(count - half), half);
      this.#reads.push({ front, between, half });
      return count;
    });
  }

  #noise(length: number): Buffer {
    const at = phase(this.stream, this.sent);
    this.sent += length;
    return NOISE.subarray(at, at + length);
  }
}

function open(io: IoLoop, handle: FakeHandle, parts: HandleParts): Connection {
  handle.readStart();
  return new Connection(io, fakeSocket(handle), false, (connection) => new HandleTransport(connection, handle, parts));
}

interface World {
  readonly io: IoLoop;
  readonly parts: HandleParts;
  readonly state: StreamState;
  /** Writes wait for the end of their batch. */
  readonly late: boolean;
}

/** @param notes whether node gives out what it notes about calls. */
function world(notes: boolean, late = false): World {
  const state = fakeState();
  const parts: HandleParts = { WriteRequest: FakeRequest, state: notes ? state : undefined, spare: undefined };
  const io = new IoLoop(clock, { kind: "handles", parts }, late ? "always" : "measured");
  return { late, io, parts, state };
}

/** As when the event loop has handled all that the kernel reported. */
function endBatch(io: IoLoop): void {
  io.catchUp();
  io.out.flush();
}

const step = fc.record({
  relay: fc.nat(5),
  read: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 10_000, max: SLAB_READ_BYTES })),
  drain: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 400_000 })),
  batchOver: fc.boolean(),
  second: fc.oneof(fc.constant(0), fc.constant(SLAB_READ_BYTES), fc.integer({ min: 1, max: 3000 })),
});

describe.each([
  ["with node's notes", true, false],
  ["without", false, false],
  ["with node's notes, writing after many events", true, true],
])("memory that a write still points at, %s", { timeout: 60_000 }, (_, notes, late) => {
  it("is neither read nor gathered into, whatever reads and drains come in what order", () => {
    let unfinished = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
        const made = world(notes, late);
        const { io } = made;
        const relays = [0, 1, 2, 3, 4, 5].map((stream) => new Relay(made, stream, stream % 2 === 1));
        for (const { relay, read, drain, second, batchOver } of steps) {
          const one = relays[relay] as Relay;
          one.sink.roomAtSecondTry = second;
          one.read(read);
          if (batchOver) endBatch(io);
          one.sink.drain(drain);
        }
        endBatch(io);
        for (const one of relays) {
          // What is still under way.
          for (let i = 0; i < 50 && one.arrived < one.sent; i++) one.sink.drain(SLAB_READ_BYTES);
          expect(one.corrupt).toBe(0);
          expect(one.arrived).toBe(one.sent);
          unfinished += one.sink.unfinished;
        }
        expect(io.readSlabs.made).toBeLessThanOrEqual(64);
      }),
      { numRuns: 100, seed: 1 },
    );
    // Else the schedule was too kind to show anything.
    expect(unfinished).toBeGreaterThan(1000);
  });

  it("writes with a request once, also when all of it went out at the second try and node still holds it", () => {
    const one = new Relay(world(notes), 0, false);
    one.sink.roomAtSecondTry = SLAB_READ_BYTES;
    for (let round = 0; round < 20; round++) one.read(SLAB_READ_BYTES);
    one.sink.drain(0);
    expect(one.sink.unfinished).toBe(20);
    expect([one.arrived, one.corrupt]).toEqual([one.sent, 0]);
  });

  it("stays within its bound while all readers stall, and comes back when they go on", () => {
    const made = world(notes);
    const { io } = made;
    const relays = Array.from({ length: 100 }, (_, stream) => new Relay(made, stream, false));
    // They move bodies as fast as they come: 64 of them through one slab, the others each through its own…
    for (const one of relays) one.sink.room = SLAB_READ_BYTES;
    for (const one of relays) one.read(SLAB_READ_BYTES);
    expect(io.readSlabs.made).toBe(37);
    // … until nobody takes any.
    for (const one of relays) one.sink.room = 0;
    for (let round = 0; round < 4; round++) for (const one of relays) one.read(SLAB_READ_BYTES);
    expect(io.readSlabs.made).toBe(64);
    for (const one of relays) {
      for (let i = 0; i < 50 && one.arrived < one.sent; i++) one.sink.drain(SLAB_READ_BYTES);
      one.read(10);
      one.sink.drain(10);
      expect(one.corrupt).toBe(0);
    }
    expect(io.readSlabs.made).toBeLessThanOrEqual(8);
  });

  it("is let go when its connection dies", () => {
    const made = world(notes);
    const { io } = made;
    const relays = Array.from({ length: 20 }, (_, stream) => new Relay(made, stream, false));
    for (const one of relays) one.sink.drain(SLAB_READ_BYTES);
    for (let round = 0; round < 2; round++) for (const one of relays) one.read(SLAB_READ_BYTES);
    // One that is being written from, and one to read into.
    expect(io.readSlabs.made).toBe(40);
    for (const one of relays) {
      one.to.destroy();
      one.from.destroy();
      // Node ends unfinished writes of a closed handle.
      one.sink.drain(Number.MAX_SAFE_INTEGER);
    }
    expect(io.readSlabs.made).toBeLessThanOrEqual(8);
  });
});
