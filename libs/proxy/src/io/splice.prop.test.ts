import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Connection } from "./connection.ts";
import { OutBuffer } from "./out-buffer.ts";
import { type SpliceCalls, Splicer } from "./splice.ts";

const SOURCE = 3;
const TARGET = 4;
const PIPE_OUT = 5;
const PIPE_IN = 6;

/** Two sockets and a pipe of which the target takes only as much as it is told. */
class World {
  readonly source: number[] = [];
  readonly target: number[] = [];
  pipe: number[] = [];
  room = 0;
  broken = false;
  #memory: Buffer = Buffer.alloc(0);
  readonly out = new OutBuffer();
  readonly closed: number[] = [];

  readonly calls: SpliceCalls = {
    splice: (from, to, length) => {
      const [queue, into] = from === SOURCE && to === PIPE_IN ? [this.source, this.pipe] : [this.pipe, this.target];
      const room = into === this.target ? this.room : length;
      const bytes = queue.splice(0, Math.min(length, room, queue.length));
      if (into === this.target) this.room -= bytes.length;
      into.push(...bytes);
      return bytes.length === 0 ? -1 : bytes.length;
    },
    send: (_, address, length) => {
      const sent = Math.min(length, this.room);
      this.room -= sent;
      this.target.push(...this.#memory.subarray(address, address + sent));
      return sent === 0 ? -1 : sent;
    },
    read: (_, into, length) => {
      if (this.broken) return -1;
      const bytes = this.pipe.splice(0, length);
      into.set(bytes);
      return bytes.length;
    },
    close: (fd) => this.closed.push(fd),
    address: (memory) => {
      this.#memory = memory;
      return 0;
    },
  };
  readonly splicer = new Splicer(this.calls, [PIPE_OUT, PIPE_IN]);

  readonly from = { transport: { descriptor: SOURCE } } as unknown as Connection;
  readonly to = {
    io: { out: this.out },
    transport: { descriptor: TARGET },
    ...{ closed: false, finished: false, congested: false, bytesWritten: 0 },
    gathered: () => undefined,
    sendGathered: (bytes: Buffer) => this.target.push(...bytes),
  } as unknown as Connection;

  write(bytes: readonly number[]): void {
    this.out.append(this.to, Uint8Array.from(bytes), 0, bytes.length);
  }
}

const step = fc.record({
  written: fc.nat(40),
  arrives: fc.nat(60),
  /** How many more may come than came; fewer: something stands behind the last byte. */
  beyond: fc.integer({ min: -1, max: 40 }),
  room: fc.oneof(fc.constant(1000), fc.nat(60)),
  flush: fc.boolean(),
});

describe("moving bytes from socket to socket", () => {
  it("keeps them in order among those that are written, however little the target takes", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const world = new World();
        const { splicer, out } = world;
        const expected: number[] = [];
        let next = 0;
        const some = (count: number): number[] => Array.from({ length: count }, () => next++ % 251);
        for (const { written, arrives, beyond, room, flush } of steps) {
          const head = some(written);
          world.write(head);
          expected.push(...head);
          world.source.push(...some(arrives));
          const before = [...world.source];
          world.room = room;
          const most = Math.max(1, arrives + beyond);
          const took = splicer.move(world.from, world.to, most);
          const back = [...(splicer.left ?? [])];
          world.write(back);
          expect(world.pipe).toEqual([]);
          expect(splicer.surplus).toBe(before.length > most);
          expect(took + back.length).toBe(Math.min(most, before.length));
          expected.push(...before.slice(0, took + back.length));
          // Nothing is expected of such a source any more.
          if (splicer.surplus) break;
          // What was not moved is read: all that came before must have been written by then.
          const rest = world.source.splice(0);
          world.write(rest);
          expected.push(...rest);
          if (flush) out.flush();
        }
        out.flush();
        expect(world.target).toEqual(expected);
      }),
      { numRuns: 500, seed: 7 },
    );
  });

  it("moves nothing any more when the pipe does not give back what it holds", () => {
    const world = new World();
    world.source.push(1, 2, 3);
    world.broken = true;
    expect(() => world.splicer.move(world.from, world.to, 10)).toThrow("a pipe that holds 3 bytes gave none");
    expect(world.closed).toEqual([PIPE_OUT, PIPE_IN]);
    world.source.push(4);
    expect(world.splicer.move(world.from, world.to, 10)).toBe(0);
    expect(world.source).toEqual([4]);
  });

  it.each(["closed", "finished", "congested"] as const)("moves nothing to a target that is %s", (state) => {
    const world = new World();
    world.source.push(1);
    world.room = 10;
    expect(world.splicer.move(world.from, { ...world.to, [state]: true } as Connection, 10)).toBe(0);
    expect(world.source).toEqual([1]);
  });
});
