import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Clock, silentLogger } from "@lateen/kernel";
import { createTestCa } from "@lateen/test-support";
import { expect, it, vi } from "vitest";
import { serveGrpc } from "../serve.ts";

// On a machine that builds at the same time.
vi.setConfig({ testTimeout: 60_000 });

const SERVER_NAME = "istiod.istio-system.svc";
const ca = createTestCa();

/** A clock whose timers fire when the test says so, however late. */
function startClock() {
  const timers = new Map<() => void, number>();
  let now = 0;
  const add = (ms: number, run: () => void) => {
    timers.set(run, now + ms);
    return () => void timers.delete(run);
  };
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    after: add,
    every: (ms, run) => add(ms, run),
  };
  /** Lets time pass, and then whatever is due fire. */
  const pass = (ms: number) => {
    now += ms;
    for (const [run, due] of [...timers]) {
      if (due > now) continue;
      timers.delete(run);
      run();
    }
  };
  return { clock, pass, waiting: () => timers.size };
}

async function start() {
  const { clock, pass, waiting } = startClock();
  const server = await serveGrpc({
    host: "127.0.0.1",
    port: 0,
    tls: { ...ca.issue({ dns: [SERVER_NAME] }), rootPem: ca.rootPem },
    services: [],
    logger: silentLogger,
    clock,
    limits: { keepaliveMs: 30_000, keepaliveTimeoutMs: 10_000, connectionAgeMs: 10_000_000 },
  });
  return { server, pass, waiting, port: server.port };
}

/** Waits for what the other end does. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

it("does not cut a peer because this process was too busy to read its answer", async () => {
  const { server, pass, waiting, port } = await start();
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: ca.rootPem, servername: SERVER_NAME });
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  await until(() => waiting() === 2);
  pass(30_000);
  // Seconds of work, before anything is read.
  pass(60_000);
  expect(session.destroyed).toBe(false);
  // The answer ends the waiting: what is left is the age of the connection.
  await until(() => waiting() === 1);
  await new Promise((resolve, reject) =>
    session.ping((error) => (error === null ? resolve(undefined) : reject(error))),
  );
  session.destroy();
  await server.close(0);
});

it("cuts a peer that does not answer", async () => {
  const { server, pass, waiting, port } = await start();
  const raw = connect({ host: "127.0.0.1", port });
  const socket = connectTls({ socket: raw, ca: ca.rootPem, servername: SERVER_NAME, ALPNProtocols: ["h2"] });
  await new Promise((resolve) => socket.once("secureConnect", resolve));
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  socket.resume();
  await until(() => waiting() === 2);
  pass(30_000);
  pass(10_000);
  await closed;
  await server.close(0);
});
