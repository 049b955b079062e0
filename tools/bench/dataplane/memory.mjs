/** Resident memory of the sidecar: alone, with more workers, and with many idle connections. */
import { connect } from "node:net";
import { rssMegabytes } from "../lib/process.mjs";

const SETTLE_MS = 4_000;
const settle = () => new Promise((done) => setTimeout(done, SETTLE_MS));
const BARE = /** @type {const} */ ({ protocol: "http1" });

/** @param {import("./arena.mjs").Arena} arena @param {number} connections */
export async function memory(arena, connections) {
  const backend = await arena.startBackend();
  const idle = async (/** @type {number} */ workers) => {
    const running = await arena.start(
      { name: `lateen-${workers}`, program: "lateen", shape: BARE, options: { workers } },
      backend,
    );
    await settle();
    return { running, rss: rssMegabytes(running.pid) };
  };
  const one = await idle(1);
  const perConnection = await idleConnections(arena, one.running, connections);
  await arena.stop([one.running]);
  const three = await idle(3);
  await arena.stop([three.running]);
  const peers = {};
  for (const program of /** @type {const} */ (["nginx", "haproxy", "envoy"])) {
    const running = await arena.start({ name: program, program, shape: BARE }, backend);
    await settle();
    const rss = rssMegabytes(running.pid);
    peers[program] = { rss, perConnection: await idleConnections(arena, running, connections) };
    await arena.stop([running]);
  }
  return { oneWorker: one.rss, perWorker: (three.rss - one.rss) / 2, perConnection, peers };
}

/** KB of resident memory for each kept connection that has made one request, on a proxy that is warm. */
async function idleConnections(arena, running, count) {
  const { port, pid } = running;
  await arena.measure(running, { tool: "wrk", path: "/1k", connections: 64 }, 3);
  await settle();
  const before = rssMegabytes(pid);
  const sockets = [];
  for (let made = 0; made < count; made += 100)
    sockets.push(...(await Promise.all(Array.from({ length: Math.min(100, count - made) }, () => oneRequest(port)))));
  await settle();
  const after = rssMegabytes(pid);
  for (const socket of sockets) socket.destroy();
  return ((after - before) * 1000) / count;
}

/** @returns {Promise<import("node:net").Socket>} a connection whose one request is answered */
function oneRequest(port) {
  return new Promise((resolve, reject) => {
    let read = 0;
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write("GET /1k HTTP/1.1\r\nhost: bench\r\n\r\n"));
    socket.on("data", (bytes) => {
      read += bytes.length;
      if (read > 1024) resolve(socket);
    });
    socket.on("error", reject);
  });
}
