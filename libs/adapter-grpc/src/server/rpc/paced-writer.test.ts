import { describe, expect, it } from "vitest";
import { PacedWriter } from "./paced-writer.ts";

function start() {
  const written: number[] = [];
  const callbacks: ((error?: Error | null) => void)[] = [];
  const writer = new PacedWriter({
    write(chunk, done) {
      written.push(chunk.length);
      if (done !== undefined) callbacks.push(done);
      return true;
    },
    cork() {},
    uncork() {},
  });
  /** The network takes what was written. */
  const flush = (error?: Error) => {
    for (const done of callbacks.splice(0)) done(error);
  };
  return { writer, written, flush };
}

describe("PacedWriter", () => {
  it("gives large messages in pieces, each when the last has left, and messages in order", () => {
    const { writer, written, flush } = start();
    const events: string[] = [];
    writer.write([Buffer.alloc(5), Buffer.alloc(75_000)], () => events.push("first"));
    writer.write([Buffer.alloc(5), Buffer.alloc(10)], () => events.push("second"));
    expect(written).toEqual([5, 32_763]);
    for (let step = 0; step < 4; step++) flush();
    expect(written).toEqual([5, 32_763, 32_768, 9_469, 15]);
    expect(events).toEqual(["first", "second"]);
  });

  it("takes a message that is written on hearing of the last", () => {
    const { writer, written, flush } = start();
    writer.write([Buffer.alloc(1)], () => writer.write([Buffer.alloc(2)], () => {}));
    flush();
    flush();
    expect(written).toEqual([1, 2]);
    expect(writer.waiting).toBe(0);
  });

  it("tells when nothing waits any more", () => {
    const { writer, flush } = start();
    let idle = 0;
    writer.whenIdle(() => idle++);
    expect(idle).toBe(1);
    writer.write([Buffer.alloc(40_000)], () => {});
    writer.whenIdle(() => idle++);
    flush();
    expect(idle).toBe(1);
    flush();
    expect(idle).toBe(2);
  });

  it("gives up what was not begun, and everything when it is closed", () => {
    const { writer, written, flush } = start();
    const failed: string[] = [];
    const note = (name: string) => (error?: Error | null) => failed.push(`${name} ${error?.message ?? "done"}`);
    writer.write([Buffer.alloc(40_000)], note("first"));
    writer.write([Buffer.alloc(10)], note("second"));
    writer.giveUp();
    expect(failed).toEqual(["second the call has ended"]);
    flush();
    writer.close();
    flush();
    writer.write([Buffer.alloc(1)], note("third"));
    expect(failed.slice(1)).toEqual(["first the stream is closed", "third the stream is closed"]);
    expect(written).toEqual([32_768, 7_232]);
  });
});
