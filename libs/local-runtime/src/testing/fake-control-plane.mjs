// Stands in for the control plane: answers on control.sock and says on which ports it would serve.
// All proxies have acked the registry as it is, until there is a file named `behind` in the state directory.

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const state = process.argv[process.argv.indexOf("--state-dir") + 1] ?? "";
const answers = {
  "/ready": { ready: true },
  "/config/rejected": { rejected: [] },
  "/config/objects": { objects: [] },
};
const socket = join(state, "control.sock");
rmSync(socket, { force: true });
// As one whose usual ports are taken: others each time, unless it is told which.
const asked = process.argv.indexOf("--xds-port");
const xds = asked < 0 ? 40_000 + (process.pid % 10_000) : Number(process.argv[asked + 1]);
const ports = { pid: process.pid, xds, ca: 2, config: 3, als: 4, metrics: 5, http: 6, prometheus: 7 };
createServer((request, response) => {
  const path = (request.url ?? "").split("?")[0];
  const answer = path === "/debug/syncz" ? synced() : answers[path];
  response.statusCode = answer === undefined && request.method === "GET" ? 404 : 200;
  response.setHeader("content-type", "application/json");
  request.resume();
  response.end(JSON.stringify(answer ?? { revision: 2, results: [] }));
}).listen(socket, () => {
  // As the real one: it answers a little before its ports are known.
  setTimeout(() => writeFileSync(join(state, "control-plane.json"), JSON.stringify(ports)), 300);
});
function synced() {
  if (existsSync(join(state, "behind"))) return { registryVersion: "0", proxies: [] };
  const { metadata, items } = JSON.parse(readFileSync(join(state, "registry", "pods.json"), "utf8"));
  const proxies = items.map((pod) => ({ pod: pod.metadata.name, namespace: pod.metadata.namespace, synced: true }));
  return { registryVersion: metadata.resourceVersion, proxies };
}
process.on("SIGTERM", () => process.exit(0));
