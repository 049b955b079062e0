/** One of three endpoints fails under load: how many requests are lost, and how soon it gets no more. */
import { spawn } from "node:child_process";
import http from "node:http";
import { eventually } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import { Daemon, FULL } from "./harness/programs.ts";
import { Victim } from "./harness/proxy.ts";

const LOAD_MS = FULL ? 30_000 : 8_000;
/** A server that says its port on standard output, and on every request. */
const SERVER = `
const server = require("node:http").createServer((request, response) => response.end(String(server.address().port)));
server.keepAliveTimeout = 600000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;

interface Endpoint {
  readonly port: number;
  readonly daemon: Daemon;
}

const started: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of started.splice(0).reverse()) await one.stop();
});

async function endpoint(): Promise<Endpoint> {
  const daemon = new Daemon([process.execPath, "-e", SERVER]);
  started.push({
    async stop() {
      // A stopped process takes no other signal; it may be gone already.
      await new Promise((done) => spawn("kill", ["-CONT", String(daemon.pid)]).on("close", done));
      await daemon.stop();
    },
  });
  const port = await eventually(
    "the endpoint listens",
    async () => Number(/^\d+/.exec(daemon.output)?.[0] ?? 0) || undefined,
  );
  return { port, daemon };
}

interface Told {
  total: number;
  lost: number;
  /** When the last request failed, or was answered by this endpoint, in milliseconds since the fault. */
  lastLost: number;
}

/** Requests one after another on eight connections; the fault comes after a quarter of the time. */
async function underLoad(url: string, fault: () => void): Promise<Told> {
  const told: Told = { total: 0, lost: 0, lastLost: 0 };
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const start = performance.now();
  let faultAt = 0;
  const one = () =>
    new Promise<boolean>((resolve) => {
      const request = http.get(url, { agent }, (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode === 200));
        response.on("error", () => resolve(false));
      });
      request.on("error", () => resolve(false));
    });
  const worker = async () => {
    while (performance.now() - start < LOAD_MS) {
      if (faultAt === 0 && performance.now() - start > LOAD_MS / 4) {
        faultAt = performance.now();
        fault();
      }
      told.total++;
      if (await one()) continue;
      told.lost++;
      told.lastLost = performance.now() - faultAt;
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  agent.destroy();
  return told;
}

describe("one of three endpoints", () => {
  it.each([
    ["killed", "SIGKILL", 0.001],
    ["stopped", "SIGSTOP", 0.01],
  ] as const)("is %s: few requests are lost, and none after five seconds", async (_title, signal, share) => {
    const endpoints = [await endpoint(), await endpoint(), await endpoint()];
    const victim = await Victim.start({
      upstreamPort: 0,
      upstreamPorts: endpoints.map(({ port }) => port),
      cluster: {
        outlier_detection: { consecutive_5xx: 5, interval: "1s", base_ejection_time: "60s", max_ejection_percent: 50 },
      },
      // As Istio routes by default, with a time limit that somebody has set.
      routeAction: {
        timeout: "1s",
        retry_policy: {
          retry_on: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
          num_retries: 2,
        },
      },
    });
    started.push(victim);
    const [first] = endpoints;
    const { total, lost, lastLost } = await underLoad(victim.url(), () => process.kill(first?.daemon.pid ?? 0, signal));
    // What was on its way to the endpoint at that moment is lost, however slow the machine: one a connection, and those that count.
    expect(lost, `of ${total}`).toBeLessThanOrEqual(Math.max(total * share, 13));
    expect(lastLost).toBeLessThan(5_000);
    victim.process.alive();
  });
});
