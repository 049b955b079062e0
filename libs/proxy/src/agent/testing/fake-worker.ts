/**
 * A data path without data: takes every plan and reports each listener as bound. Listeners called `refused*` fail, those called
 * `once*` the first time. It sends one access record for each listener called `logs*`, one counter, and dies when it sees a listener
 * called `fatal` for the first time.
 */
const SOURCE = `
import { parentPort, workerData } from "node:worker_threads";
const bound = new Map();
const seen = new Set();
const values = new Float64Array(workerData.stats.values);
values[0] = 5;
const say = (message) => parentPort.postMessage(message);
const record = (path) => ({ startTimeMs: 1000, durationMs: 2, protocol: "http/1.1", method: "GET", path, authority: "reviews", requestId: "r", userAgent: "",
  responseCode: 200, responseFlags: "", responseDetails: "via_upstream", bytesReceived: 0, bytesSent: 3, upstreamCluster: "c", upstreamHost: "10.0.0.1:80",
  routeName: "default", downstreamRemoteAddress: "10.0.0.2:1", downstreamLocalAddress: "10.0.0.1:80", peerPrincipal: "spiffe://a", localPrincipal: "spiffe://b",
  reporter: "destination", source: undefined, destination: undefined, destinationService: "reviews" });
parentPort.on("message", (message) => {
  if (message.type === "drain") { say({ type: "drained" }); return; }
  if (message.type === "inspect") {
    say({ type: "report", id: message.id, report: { clusters: [{ name: "backend", endpoints: [{ address: "10.0.0.1", port: 80, ejected: true, counters: { rq_total: 7 } }] }] } });
    return;
  }
  if (message.type !== "plan") return;
  const failures = [];
  for (const { name, port } of message.delta.listeners) {
    if (name === "fatal" && workerData.index === 0 && message.delta.clusters.length === 0) process.exit(9);
    if (name.startsWith("once") && !seen.has(name)) { seen.add(name); failures.push({ resource: "listener", name, reason: "address in use" }); }
    else if (name.startsWith("refused")) failures.push({ resource: "listener", name, reason: "address in use" });
    else bound.set(name, { listener: name, address: workerData.bindAddress, port });
    if (name.startsWith("logs")) say({ type: "records", cluster: "als", logName: "http", records: [record("/" + name)], dropped: 1 });
  }
  for (const name of message.delta.removedListeners) bound.delete(name);
  say({ type: "applied", generation: message.delta.generation, failures, bound: [...bound.values()] });
});
say({ type: "series", series: [{ slot: 0, length: 1, name: "istio_requests_total", kind: "counter", labels: { reporter: "source" } }] });
say({ type: "ready" });
`;

export const fakeWorker = new URL(`data:text/javascript,${encodeURIComponent(SOURCE)}`);
