import { once } from "node:events";
import { Agent, createServer, get, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, createServer as createPlainServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { HttpFilterRuntime } from "../chain/spi.ts";
import { loadSplicer, type Splicer } from "../io/splice.ts";
import { testBackend } from "../io/testing/backend.ts";
import type { Rig } from "./testing/rig.ts";
import { clusterSpec, forwardTo, hostSpec, routeSpec, startRig } from "./testing/rig.ts";

const KB = 1024;
const SIZES = [1, 23 * KB, 24 * KB, 64 * KB, 65 * KB + 1, 200 * KB + 7, 3 * 1024 * KB + 11];
const STALLED_BYTES = 24 * 1024 * KB;
const PATTERN_BYTES = 1021;

/** What stands at `offset` of the body that belongs to `seed`; the period is a prime, so that pieces in the wrong place are seen. */
function piece(seed: number, offset: number, length: number): Buffer {
  const pattern = Buffer.alloc(PATTERN_BYTES);
  for (let i = 0; i < PATTERN_BYTES; i++) pattern[i] = (i * 31 + seed * 17 + (i >> 3)) & 255;
  const start = offset % PATTERN_BYTES;
  return Buffer.alloc(start + length, pattern).subarray(start);
}

/** `/SEED/SIZE` answers with that body, written piece by piece; `?cut=N` breaks the connection after N bytes, `?slow` sends the head alone. */
async function startOrigin(): Promise<Server> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://origin");
    const [seed = 0, size = 0] = url.pathname.split("/").slice(1).map(Number);
    const end = Number(url.searchParams.get("cut") ?? size);
    response.writeHead(200, { "content-length": size });
    if (url.searchParams.has("slow")) response.flushHeaders();
    let at = 0;
    const more = (): void => {
      while (at < end) {
        const length = Math.min(end - at, 1 + ((at * 7 + seed * 131) % (96 * KB)));
        at += length;
        if (!response.write(piece(seed, at - length, length))) {
          response.once("drain", more);
          return;
        }
      }
      if (end < size) response.socket?.destroySoon();
      else response.end();
    };
    more();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function ask(port: number, path: string, agent?: Agent): Promise<IncomingMessage> {
  const [response] = await once(get({ port, path, host: "127.0.0.1", ...(agent && { agent }) }), "response");
  return response;
}

/** Bytes that arrived, all of which were those of the body. */
async function check(response: IncomingMessage, seed: number): Promise<number> {
  let at = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (!chunk.equals(piece(seed, at, chunk.length)))
        throw new Error(`seed ${seed}: wrong bytes within ${chunk.length} at ${at}`);
      at += chunk.length;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
  }
  return at;
}

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

async function stageWith(splicer: Splicer, options: Partial<Parameters<typeof startRig>[0]> = {}): Promise<Rig> {
  const origin = await startOrigin();
  const rig = await startRig({
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
    clusters: [clusterSpec("backend", [(origin.address() as AddressInfo).port])],
    ...options,
  });
  rig.context.io.splicer = splicer;
  closers.push(
    () => origin.close(),
    () => origin.closeAllConnections(),
    () => rig.close(),
  );
  return rig;
}

const unable = await loadSplicer().then(
  (splicer) => {
    splicer.close();
    return testBackend.kind === "handles" ? undefined : "bytes go by node's sockets here";
  },
  (error: Error) => error.message,
);
if (unable !== undefined) process.stderr.write(`skipped: bodies that are spliced: ${unable}\n`);

describe.skipIf(unable !== undefined)("bodies that go from socket to socket", { timeout: 60_000 }, () => {
  it("arrive byte for byte, of all sizes, beside readers that stand still", async () => {
    const splicer = await loadSplicer();
    const rig = await stageWith(splicer);
    const stalled = await Promise.all([1, 2, 3, 4].map((seed) => ask(rig.port, `/${seed}/${STALLED_BYTES}`)));
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    closers.push(() => agent.destroy());
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      for (let round = 0; round < 24; round++) {
        const size = SIZES[(round + lane) % SIZES.length] as number;
        const seed = lane * 100 + round;
        const slow = round % 3 === 0 ? "?slow" : "";
        expect(await check(await ask(rig.port, `/${seed}/${size}${slow}`, agent), seed)).toBe(size);
      }
    });
    await Promise.all(lanes);
    expect(splicer.moved).toBeGreaterThan(10 * 1024 * KB);
    const arrived = await Promise.all(stalled.map((response, index) => check(response, index + 1)));
    expect(arrived).toEqual(stalled.map(() => STALLED_BYTES));
  });

  it("leave nothing behind for the next one when a client goes away", async () => {
    const splicer = await loadSplicer();
    const rig = await stageWith(splicer);
    for (let seed = 1; seed <= 20; seed++) {
      const leaving = await ask(rig.port, `/${seed}/${STALLED_BYTES}`);
      await once(leaving, "readable");
      const others = [100, 200].map(async (other) =>
        check(await ask(rig.port, `/${other + seed}/${400 * KB}`), other + seed),
      );
      leaving.destroy();
      expect(await Promise.all(others)).toEqual([400 * KB, 400 * KB]);
    }
    expect(splicer.moved).toBeGreaterThan(0);
  });

  it("break where the upstream broke them", async () => {
    const splicer = await loadSplicer();
    const rig = await stageWith(splicer);
    // What makes the connections read little.
    expect(await check(await ask(rig.port, `/9/${64 * KB}`), 9)).toBe(64 * KB);
    for (const cut of [100 * KB, 7, 25 * KB]) {
      expect(await check(await ask(rig.port, `/5/${400 * KB}?cut=${cut}`), 5)).toBe(cut);
    }
    expect(await check(await ask(rig.port, `/6/${400 * KB}`), 6)).toBe(400 * KB);
  });

  it("are not followed by another one where something stands behind them", async () => {
    const splicer = await loadSplicer();
    const sockets: Socket[] = [];
    const size = 64 * KB;
    const origin = createPlainServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      let requests = 0;
      // At the second request the body has one byte too many, which would be the begin of the next response.
      socket.on("data", () => {
        const extra = requests++ === 1 ? "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong" : "";
        socket.write(
          Buffer.concat([
            Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`),
            piece(1, 0, size),
            Buffer.from(extra),
          ]),
        );
      });
    });
    origin.listen(0, "127.0.0.1");
    await once(origin, "listening");
    closers.push(() => {
      origin.close();
      for (const socket of sockets) socket.destroy();
    });
    const rig = await stageWith(splicer, {
      clusters: [clusterSpec("backend", [(origin.address() as AddressInfo).port])],
    });
    const made: number[] = [];
    for (let i = 0; i < 4; i++) {
      expect(await check(await ask(rig.port, "/"), 1)).toBe(size);
      made.push(sockets.length);
    }
    expect(made).toEqual([1, 1, 2, 2]);
    expect(splicer.moved).toBeGreaterThan(size);
  });

  it("are read where a filter looks at them, and count in the log where none does", async () => {
    const splicer = await loadSplicer();
    let seen = 0;
    const watch: HttpFilterRuntime = {
      name: "watch",
      create: () => ({
        onResponseBody: (_, __, start, end) => {
          seen += end - start;
        },
      }),
    };
    const watched = await stageWith(splicer, {
      filters: [watch],
      spec: { httpFilters: [{ name: "watch", config: {} }] },
    });
    expect(await check(await ask(watched.port, `/3/${900 * KB}`), 3)).toBe(900 * KB);
    expect([seen, splicer.moved]).toEqual([900 * KB, 0]);
    const accessLogs = [{ kind: "file", path: "p", format: { kind: "text", text: "%BYTES_SENT%\n" } }] as const;
    const logged = await stageWith(await loadSplicer(), { spec: { accessLogs } });
    for (let i = 0; i < 2; i++) expect(await check(await ask(logged.port, `/3/${900 * KB}`), 3)).toBe(900 * KB);
    expect(logged.logText()).toBe(`${900 * KB}\n`.repeat(2));
    expect(logged.context.io.splicer?.moved).toBeGreaterThan(0);
  });
});
