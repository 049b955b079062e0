import { describe, expect, it } from "vitest";
import { pace } from "./paced-writes.ts";

function start() {
  const events: string[] = [];
  const callbacks: ((error?: Error | null) => void)[] = [];
  const stream = {
    write(chunk: Buffer, done: (error?: Error | null) => void) {
      events.push(`${chunk.length}`);
      callbacks.push(done);
      return true;
    },
    end() {
      events.push("end");
    },
  };
  pace(stream);
  /** The network takes what was written. */
  const flush = (error?: Error) => callbacks.splice(0).forEach((done) => void done(error));
  return { events, flush, stream };
}

describe("paced writes", () => {
  it("give large messages in pieces, each when the last has left, and messages in order", () => {
    const { events, flush, stream } = start();
    stream.write(Buffer.alloc(75_000), () => events.push("first"));
    stream.write(Buffer.alloc(10), () => events.push("second"));
    expect(events).toEqual(["32768"]);
    for (let step = 0; step < 4; step++) flush();
    expect(events).toEqual(["32768", "32768", "9464", "10", "first", "second"]);
  });

  it("take a message that is written on hearing of the last", () => {
    const { events, flush, stream } = start();
    stream.write(Buffer.alloc(1), () => stream.write(Buffer.alloc(2), () => events.push("done")));
    flush();
    flush();
    expect(events).toEqual(["1", "2", "done"]);
  });

  it("end after the last piece", () => {
    const { events, flush, stream } = start();
    stream.write(Buffer.alloc(35_000), () => {});
    stream.end();
    expect(events).toEqual(["32768"]);
    flush();
    flush();
    expect(events).toEqual(["32768", "2232", "end"]);
    const idle = start();
    idle.stream.end();
    expect(idle.events).toEqual(["end"]);
  });

  it("report a failure once, and give up the rest of that message", () => {
    const { events, flush, stream } = start();
    stream.write(Buffer.alloc(35_000), (error) => events.push(String(error?.message)));
    flush(new Error("gone"));
    expect(events).toEqual(["32768", "gone"]);
  });
});
