/** What a soak runs beside the mesh: servers outside it, and a load that does not get faster when the machine does. */
import http from "node:http";
import { get } from "./mesh.mjs";

/** Servers that answer everything with 200. @param {number} count @returns {Promise<number[]>} their ports */
export function originServers(count) {
  return Promise.all(
    Array.from({ length: count }, () => {
      const server = http.createServer((_request, response) => response.end("ok"));
      server.keepAliveTimeout = 600_000;
      return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
    }),
  );
}

/**
 * Four kept connections for each target, which together send at most `rate` requests a second.
 * @param {readonly { url: string, headers: Record<string, string> }[]} targets
 * @param {number} rate @param {string[]} failures gets a line for everything but 200
 */
export function soakLoad(targets, rate, failures) {
  let running = true;
  let total = 0;
  const pause = (1000 * targets.length * 4) / rate;
  const one = async ({ url, headers }) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    while (running) {
      total++;
      const due = performance.now() + pause;
      const { status, body } = await get(url, { agent, headers }).catch((error) => ({
        status: error.message,
        body: "",
      }));
      if (status !== 200) failures.push(`${new Date().toISOString()} ${url} ${status} ${body.slice(0, 100)}`);
      await new Promise((done) => setTimeout(done, Math.max(0, due - performance.now())));
    }
    agent.destroy();
  };
  const workers = targets.flatMap((target) => Array.from({ length: 4 }, () => one(target)));
  return {
    total: () => total,
    stop: async () => {
      running = false;
      await Promise.all(workers);
    },
  };
}
