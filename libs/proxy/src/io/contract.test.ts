import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { systemClock } from "@lateen/kernel";
import { createTestCa } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import { chooseBackend, type IoBackend, PORTABLE } from "./backend.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { IoLoop } from "./io-loop.ts";
import { dial, listen } from "./sockets.ts";

const handles = await chooseBackend("handles");
const backends: readonly (readonly [string, IoBackend, "measured" | "always"])[] = [
  ["portable", PORTABLE, "measured"],
  ["handles", handles, "measured"],
  ["handles, writing after many events", handles, "always"],
];

const open: { close(): void }[] = [];
const destroyed: Connection[] = [];
afterEach(() => {
  for (const connection of destroyed.splice(0)) connection.destroy();
  for (const one of open.splice(0)) one.close();
});

/** What one connection has told so far, and a way to wait for more. */
class Recorder implements ConnectionHandler {
  readonly parts: Buffer[] = [];
  length = 0;
  ended = false;
  closed = false;
  error: string | undefined;
  drains = 0;
  stalls = 0;
  #waiting: (() => void)[] = [];

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.parts.push(Buffer.from(bytes.subarray(start, end)));
    this.length += end - start;
    this.#changed();
  }
  onEnd(): void {
    this.ended = true;
    this.#changed();
  }
  onCongested(): void {
    this.stalls++;
  }
  onDrain(): void {
    this.drains++;
    this.#changed();
  }
  onClose(error: string | undefined): void {
    this.closed = true;
    this.error = error;
    this.#changed();
  }
  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Bytes that tell where they belong; the period divides no buffer size. */
const NOISE = Buffer.alloc(
  16_200_000,
  Uint8Array.from({ length: 65_521 }, (_, index) => Math.imul(index, 2654435761) >>> 24),
);
const pattern = (length: number, from = 0): Buffer => NOISE.subarray(from, from + length);

async function accepted(io: IoLoop, onConnection: (connection: Connection) => void) {
  const socket = await listen(io, { address: "127.0.0.1", port: 0, reusePort: false, onConnection });
  open.push(socket);
  return socket.port;
}

function client(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  open.push({ close: () => socket.destroy() });
  return socket;
}

/** A connection of ours and the plain socket at its other end. */
async function pair(io: IoLoop): Promise<{ ours: Connection; theirs: Socket; told: Recorder }> {
  const told = new Recorder();
  let port = 0;
  const ours = new Promise<Connection>((resolve) => {
    void accepted(io, (connection) => {
      connection.handler = told;
      destroyed.push(connection);
      resolve(connection);
    }).then((bound) => {
      port = bound;
      theirs.resolve(client(port));
    });
  });
  const theirs = Promise.withResolvers<Socket>();
  return { ours: await ours, theirs: await theirs.promise, told };
}

function read(socket: Socket): { readonly bytes: () => Buffer; readonly end: Promise<void> } {
  const parts: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => parts.push(bytes));
  const end = new Promise<void>((resolve) => {
    socket.once("end", () => resolve());
    socket.once("close", () => resolve());
  });
  return { bytes: () => Buffer.concat(parts), end };
}

describe.each(backends)("io on %s", { timeout: 60_000 }, (_, backend, batches) => {
  const loop = (): IoLoop => new IoLoop(systemClock(), backend, batches);

  it("carries bytes both ways, whole and in order", async () => {
    const { ours, theirs, told } = await pair(loop());
    const sent = pattern(3_000_000);
    theirs.write(sent);
    await told.until(() => told.length === sent.length);
    expect(told.bytes.equals(sent)).toBe(true);
    const back = read(theirs);
    for (let at = 0; at < sent.length; at += 7001) ours.write(sent, at, Math.min(sent.length, at + 7001));
    ours.finish();
    await back.end;
    expect(back.bytes().equals(sent)).toBe(true);
    expect([ours.bytesRead, ours.bytesWritten]).toEqual([sent.length, sent.length]);
  });

  it("sends what one event writes in order, whoever it is for", async () => {
    const io = loop();
    const [a, b] = [await pair(io), await pair(io)];
    const [toA, toB] = [read(a.theirs), read(b.theirs)];
    io.enter();
    for (let i = 0; i < 50; i++) {
      a.ours.writeText(`a${i} `);
      b.ours.writeText(`b${i} `);
      if (i === 20) a.ours.write(pattern(100_000), 0, 100_000);
    }
    io.leave();
    a.ours.finish();
    b.ours.finish();
    await Promise.all([toA.end, toB.end]);
    const texts = (name: string, from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => `${name}${from + i} `).join("");
    expect(toB.bytes().toString()).toBe(texts("b", 0, 50));
    const expected = Buffer.concat([Buffer.from(texts("a", 0, 21)), pattern(100_000), Buffer.from(texts("a", 21, 50))]);
    expect(toA.bytes().equals(expected)).toBe(true);
  });

  it("reads nothing while paused, and everything afterwards", async () => {
    const { ours, theirs, told } = await pair(loop());
    ours.pause();
    theirs.write("first");
    // Something else on the same loop, later than those bytes.
    const other = await pair(ours.io);
    other.theirs.write("x");
    await other.told.until(() => other.told.length === 1);
    expect([told.length, ours.paused]).toEqual([0, true]);
    ours.resume();
    theirs.write(" second");
    await told.until(() => told.length === 12);
    expect(told.bytes.toString()).toBe("first second");
  });

  it("tells the peer's FIN and still writes; ours leaves reading on", async () => {
    const { ours, theirs, told } = await pair(loop());
    theirs.end("last");
    await told.until(() => told.ended);
    expect([told.bytes.toString(), ours.ended, ours.closed]).toEqual(["last", true, false]);
    const back = read(theirs);
    ours.writeText("answer");
    ours.finish();
    await back.end;
    expect(back.bytes().toString()).toBe("answer");
    await told.until(() => told.closed);
    expect(told.error).toBeUndefined();

    const other = await pair(loop());
    const got = read(other.theirs);
    other.ours.writeText("bye");
    other.ours.finish();
    await got.end;
    other.theirs.write("still here");
    await other.told.until(() => other.told.length === 10);
    other.theirs.end();
    await other.told.until(() => other.told.closed);
  });

  it("tells a reset by name", async () => {
    const { theirs, told } = await pair(loop());
    theirs.write("x");
    await told.until(() => told.length === 1);
    theirs.resetAndDestroy();
    await told.until(() => told.closed);
    expect(told.error).toBe("ECONNRESET");
  });

  it("resets when asked to", async () => {
    const { ours, theirs, told } = await pair(loop());
    const gone = new Promise<NodeJS.ErrnoException>((resolve) => theirs.once("error", resolve));
    ours.reset();
    expect((await gone).code).toBe("ECONNRESET");
    expect(told.closed).toBe(true);
  });

  it("closes exactly once and is silent afterwards", async () => {
    const { ours, theirs, told } = await pair(loop());
    theirs.write("x");
    await told.until(() => told.length === 1);
    let gone = 0;
    ours.onGone = () => gone++;
    ours.destroy();
    ours.destroy();
    ours.write(pattern(10), 0, 10);
    ours.pause();
    ours.resume();
    ours.finish();
    await read(theirs).end;
    expect([gone, told.closed, told.length]).toEqual([1, true, 1]);
  });

  it("is congested by a reader that stalls, and drains when it goes on", async () => {
    const { ours, theirs, told } = await pair(loop());
    theirs.pause();
    const sent = pattern(16_000_000, 3);
    let at = 0;
    const fill = (): void => {
      while (at < sent.length && !ours.congested) {
        ours.write(sent, at, at + 100_000);
        ours.io.out.flush();
        at += 100_000;
      }
    };
    fill();
    expect(at).toBeLessThan(sent.length);
    expect(ours.queued).toBeGreaterThan(0);
    // Whoever feeds it need not ask.
    expect(told.stalls).toBe(1);
    const back = read(theirs);
    theirs.resume();
    while (at < sent.length) {
      const before = told.drains;
      await told.until(() => told.drains > before);
      fill();
    }
    ours.finish();
    await back.end;
    expect(back.bytes().equals(sent)).toBe(true);
  });

  it("gives a slow reader everything when it closes in order", async () => {
    const { ours, theirs, told } = await pair(loop());
    theirs.pause();
    const sent = pattern(12_000_000, 9);
    ours.write(sent, 0, sent.length);
    ours.closeGracefully();
    const back = read(theirs);
    theirs.resume();
    await back.end;
    theirs.end();
    expect(back.bytes().equals(sent)).toBe(true);
    await told.until(() => told.closed);
  });

  it("survives being destroyed with writes under way", async () => {
    const { ours, theirs } = await pair(loop());
    theirs.pause();
    ours.write(pattern(12_000_000), 0, 12_000_000);
    ours.writeText("more");
    ours.io.out.flush();
    ours.destroy();
    const back = read(theirs);
    theirs.resume();
    await back.end;
    expect(ours.closed).toBe(true);
  });

  it("ends the connection whose handler throws, and no other", async () => {
    const io = loop();
    const defects: unknown[] = [];
    io.onDefect = (error) => defects.push(error);
    const [bad, good] = [await pair(io), await pair(io)];
    const broken = new Error("broken");
    bad.ours.handler = {
      ...bad.told,
      onBytes() {
        throw broken;
      },
      onEnd() {},
      onDrain() {},
      onClose: () => bad.told.onClose(undefined),
    };
    bad.theirs.write("x");
    await bad.told.until(() => bad.told.closed);
    expect(defects).toEqual([broken]);
    good.theirs.write("y");
    await good.told.until(() => good.told.length === 1);
  });

  it("says why a connection could not be made", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    const told = new Recorder();
    const made = dial(loop(), { host: "127.0.0.1", port, keepAliveMs: undefined, tls: undefined }, () => {});
    made.handler = told;
    await told.until(() => told.closed);
    expect(told.error).toBe("ECONNREFUSED");
  });

  it("reads what a server says first, over TCP", async () => {
    const server = createServer((socket) => socket.end("220 hello")).listen(0, "127.0.0.1");
    open.push(server);
    await once(server, "listening");
    const told = new Recorder();
    const { port } = server.address() as { port: number };
    const made = dial(loop(), { host: "127.0.0.1", port, keepAliveMs: 1000, tls: undefined }, (ready) => {
      ready.handler = told;
    });
    destroyed.push(made);
    await told.until(() => told.ended);
    expect(told.bytes.toString()).toBe("220 hello");
  });

  it("relays between stalled readers and busy ones without mixing a byte up", async () => {
    const io = loop();
    const large = pattern(12_000_000, 17);
    const upstream = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (first: Buffer) => {
        if (first.toString() === "large") socket.end(large);
        else {
          socket.write(first);
          socket.on("data", (bytes: Buffer) => socket.write(bytes));
        }
      });
    }).listen(0, "127.0.0.1");
    open.push(upstream);
    await once(upstream, "listening");
    const port = await relay(io, (upstream.address() as { port: number }).port);
    const stalled = Array.from({ length: 4 }, () => client(port));
    for (const socket of stalled) {
      socket.pause();
      socket.write("large");
    }
    const noise = Array.from({ length: 8 }, (_, index) => talk(client(port), index, 150));
    expect(await Promise.all(noise)).toEqual(Array.from({ length: 8 }, () => "sound"));
    const whole = stalled.map((socket) => {
      const back = read(socket);
      socket.resume();
      return back.end.then(() => back.bytes().equals(large));
    });
    expect(await Promise.all(whole)).toEqual([true, true, true, true]);
  });

  it("speaks TLS: large bodies both ways, the server first, and an orderly end", async () => {
    const ca = createTestCa();
    const { certPem, keyPem } = ca.issue({ dns: ["localhost"] });
    const sent = pattern(5_000_000, 5);
    const peer = Promise.withResolvers<TLSSocket>();
    const server = createTlsServer({ cert: certPem, key: keyPem, allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      socket.write("ready");
      peer.resolve(socket);
    }).listen(0, "127.0.0.1");
    open.push(server);
    await once(server, "listening");
    const told = new Recorder();
    const { port } = server.address() as { port: number };
    const tls = { ca: ca.rootPem, servername: "localhost" };
    const ready = Promise.withResolvers<Connection>();
    const made = dial(loop(), { host: "127.0.0.1", port, keepAliveMs: undefined, tls }, (connection) => {
      connection.handler = told;
      ready.resolve(connection);
    });
    destroyed.push(made);
    const ours = await ready.promise;
    const theirs = await peer.promise;
    open.push({ close: () => theirs.destroy() });
    await told.until(() => told.length === 5);
    const back = read(theirs);
    theirs.pause();
    let at = 0;
    while (at < sent.length) {
      while (at < sent.length && !ours.congested) {
        ours.write(sent, at, at + 50_000);
        ours.io.out.flush();
        at += 50_000;
      }
      if (at >= sent.length) break;
      const before = told.drains;
      theirs.resume();
      await told.until(() => told.drains > before || !ours.congested);
    }
    theirs.resume();
    ours.finish();
    await back.end;
    expect(back.bytes().equals(sent)).toBe(true);
    theirs.end(sent);
    await told.until(() => told.ended);
    expect(told.bytes.subarray(5).equals(sent)).toBe(true);
  });
});

/** Ties every accepted connection to one upstream, as a tunnel does. */
function relay(io: IoLoop, upstreamPort: number): Promise<number> {
  return accepted(io, (connection) => {
    destroyed.push(connection);
    connection.pause();
    const options = { host: "127.0.0.1", port: upstreamPort, keepAliveMs: undefined, tls: undefined };
    const upstream = dial(io, options, () => {
      tie(connection, upstream);
      tie(upstream, connection);
      connection.resume();
    });
    destroyed.push(upstream);
  });
}

function tie(from: Connection, to: Connection): void {
  from.handler = {
    onBytes(bytes, start, end) {
      to.write(bytes, start, end);
      to.io.out.flushFor(to);
      if (to.congested) from.pause();
    },
    onEnd: () => to.finish(),
    onDrain: () => to.resume(),
    onClose: () => to.closeGracefully(),
  };
}

/** Says and hears its own words, `count` times. */
async function talk(socket: Socket, seed: number, count: number): Promise<string> {
  const echo = { parts: [] as Buffer[], length: 0 };
  let more: () => void = () => {};
  socket.on("data", (bytes: Buffer) => {
    echo.parts.push(bytes);
    echo.length += bytes.length;
    more();
  });
  for (let i = 0; i < count; i++) {
    const word = pattern(1 + ((i * 977 + seed * 131) % 40_000), i * 31 + seed);
    echo.parts = [];
    echo.length = 0;
    socket.write(word);
    while (echo.length < word.length) await new Promise<void>((resolve) => (more = resolve));
    if (!Buffer.concat(echo.parts).equals(word)) return `word ${i} of ${seed} came back changed`;
  }
  socket.end();
  return "sound";
}

describe("the choice of a back end", () => {
  it("takes handles where they work, and says why where they do not", async () => {
    expect((await chooseBackend("auto")).kind).toBe("handles");
    // What node notes of calls is within reach and true: on the versions we ship with, write requests serve again.
    expect(handles.kind === "handles" && handles.parts.state).toBeTruthy();
    const broken = async () => {
      throw new Error("bytes differ");
    };
    expect(await chooseBackend("auto", broken)).toEqual({ kind: "portable", reason: "bytes differ" });
    expect(await chooseBackend("portable", broken)).toEqual(PORTABLE);
    await expect(chooseBackend("handles", broken)).rejects.toMatchObject({ code: "LTN5301" });
  });
});
