import { systemClock } from "@lateen/kernel";
import { describe, expect, it } from "vitest";
import { Connection } from "./connection.ts";
import { HandleTransport } from "./handle-transport.ts";
import { IoLoop } from "./io-loop.ts";
import { FakeHandle, fakeSocket, fakeState } from "./testing/fake-stream.ts";

class Request {
  oncomplete = undefined;
  buffer = undefined;
}

/** A connection that sends back what it reads; `got` is what its peer has received. */
function echo(io: IoLoop) {
  const state = fakeState();
  const got: string[] = [];
  const handle = new FakeHandle((bytes) => got.push(Buffer.from(bytes).toString()), state);
  handle.room = Number.MAX_SAFE_INTEGER;
  const parts = { WriteRequest: Request, state, spare: undefined };
  const connection = new Connection(io, fakeSocket(handle), false, (it) => new HandleTransport(it, handle, parts));
  const ends: string[] = [];
  connection.handler = {
    onBytes: (bytes, start, end) => connection.write(bytes, start, end),
    onEnd: () => ends.push(`end after ${got.length}`),
    onDrain() {},
    onClose() {},
  };
  const read = (text: string): void => void handle.receive((target) => Buffer.from(text).copy(target));
  return { connection, handle, got, ends, read };
}

const nextBatch = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Many events at once, so that the loop sees that they come in batches. */
async function rush(io: IoLoop, count = 100): Promise<void> {
  const one = echo(io);
  for (let i = 0; i < count; i++) one.read("x");
  await nextBatch();
}

describe("events that come at once", () => {
  it("are answered one by one, until it is seen that they come so", async () => {
    const io = new IoLoop(systemClock());
    const one = echo(io);
    one.read("first");
    expect(one.got).toEqual(["first"]);
    await rush(io);
    one.read("second");
    expect(one.got).toEqual(["first"]);
    await nextBatch();
    expect(one.got).toEqual(["first", "second"]);
  });

  it("are answered at once again when they come alone", async () => {
    const io = new IoLoop(systemClock());
    await rush(io);
    const one = echo(io);
    for (let i = 0; i < 20; i++) {
      one.read("a");
      await nextBatch();
    }
    const before = one.got.length;
    one.read("b");
    expect(one.got.slice(before)).toEqual(["b"]);
  });

  it("reach each connection whole and in order, however large the reads are and how many", async () => {
    const io = new IoLoop(systemClock(), undefined, "always");
    const all = Array.from({ length: 60 }, () => echo(io));
    const sent = all.map((one, index) => {
      const texts = [`<${index}>`, "small".repeat(index), "L".repeat(index % 3 === 0 ? 6000 : 60), "."];
      for (const text of texts) if (text !== "") one.read(text);
      return texts.join("");
    });
    await nextBatch();
    expect(all.map(({ got }) => got.join(""))).toEqual(sent);
  });

  it("are over before the end of the stream is told", () => {
    const io = new IoLoop(systemClock(), undefined, "always");
    const one = echo(io);
    const seen: string[] = [];
    one.connection.handler = {
      ...one.connection.handler,
      onBytes: (b, start, end) => seen.push(b.toString("latin1", start, end)),
    };
    one.read("last words");
    one.handle.receive(() => 0);
    expect(seen).toEqual(["last words"]);
  });

  it("are forgotten with a connection that ends meanwhile", async () => {
    const io = new IoLoop(systemClock(), undefined, "always");
    const [one, other] = [echo(io), echo(io)];
    one.read("lost");
    other.read("kept");
    one.connection.destroy();
    await nextBatch();
    expect([one.got, other.got]).toEqual([[], ["kept"]]);
  });

  it("do not keep others from being answered when one of them fails", async () => {
    const io = new IoLoop(systemClock(), undefined, "always");
    const defects: unknown[] = [];
    io.onDefect = (error) => defects.push(error);
    const [bad, good] = [echo(io), echo(io)];
    bad.connection.handler = {
      ...bad.connection.handler,
      onBytes: () => {
        throw new Error("defect");
      },
    };
    bad.read("a");
    good.read("b");
    await nextBatch();
    expect([defects.length, bad.connection.closed, good.got]).toEqual([1, true, ["b"]]);
  });
});
