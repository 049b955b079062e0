// Stands in for the control plane: answers on control.sock and says on which ports it would serve.

import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const state = process.argv[process.argv.indexOf("--state-dir") + 1] ?? "";
const answers = {
  "/ready": { ready: true },
  "/config/rejected": { rejected: [] },
  "/config/objects": { objects: [] },
  "/debug/syncz": { proxies: [] },
};
const socket = join(state, "control.sock");
rmSync(socket, { force: true });
// As one whose usual ports are taken: others each time, unless it is told which.
const asked = process.argv.indexOf("--xds-port");
const xds = asked < 0 ? 40_000 + (process.pid % 10_000) : Number(process.argv[asked + 1]);
const ports = { pid: process.pid, xds, ca: 2, config: 3, als: 4, metrics: 5, http: 6, prometheus: 7 };
createServer((request, response) => {
  const answer = answers[(request.url ?? "").split("?")[0]];
  response.statusCode = answer === undefined && request.method === "GET" ? 404 : 200;
  response.setHeader("content-type", "application/json");
  request.resume();
  response.end(JSON.stringify(answer ?? { revision: 2, results: [] }));
}).listen(socket, () => {
  // As the real one: it answers a little before its ports are known.
  setTimeout(() => writeFileSync(join(state, "control-plane.json"), JSON.stringify(ports)), 300);
});
process.on("SIGTERM", () => process.exit(0));
