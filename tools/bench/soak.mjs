/**
 * soak — half an hour of churn under load: rules change every second and the control plane is killed every minute. At the end no request on an unchanged
 * route may have failed while only the control plane died, and memory must not have grown beyond its first quarter's level by more than a third.
 */
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import { parseArgs } from "node:util";
import { BenchMesh, get } from "./lib/mesh.mjs";
import { median, table } from "./lib/numbers.mjs";
import { processTree, rssMegabytes } from "./lib/process.mjs";

const { values } = parseArgs({ options: { minutes: { type: "string", default: "30" } } });
const seconds = Number(values.minutes) * 60;
const rule = (index) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: churn }
spec:
  hosts: [churn.example.com]
  gateways: [bookinfo-gateway]
  http:
    - match: [{ uri: { prefix: "/${index}" } }]
      route: [{ destination: { host: reviews, subset: v${(index % 3) + 1} } }]
    - route: [{ destination: { host: details, port: { number: 9080 } } }]
`;
const commandOf = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
};
const mesh = await new BenchMesh().prepare();
let failed = 0;
try {
  mesh.write("churn.yaml", rule(0));
  mesh.start();
  await mesh.until("the page", () => mesh.pageIsComplete());
  let running = true;
  let requests = 0;
  const failures = [];
  const load = Promise.all(
    Array.from({ length: 4 }, async () => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      while (running) {
        requests++;
        const { status } = await get(mesh.url("/api/v1/products/0"), { agent }).catch((error) => ({
          status: error.message,
        }));
        if (status !== 200) failures.push(`${new Date().toISOString()} ${status}`);
        await new Promise((done) => setTimeout(done, 4));
      }
    }),
  );
  const memory = [];
  const start = performance.now();
  let edits = 0;
  let kills = 0;
  while ((performance.now() - start) / 1000 < seconds) {
    mesh.write("churn.yaml", rule(++edits));
    if (edits % 60 === 0) {
      const pid = processTree(mesh.pid).find((one) => commandOf(one).includes("control-plane/"));
      if (pid !== undefined) {
        process.kill(pid, "SIGKILL");
        kills++;
      }
    }
    await new Promise((done) => setTimeout(done, 1_000));
    if (edits % 10 === 0) memory.push(rssMegabytes(mesh.pid));
  }
  running = false;
  await load;
  failed = failures.length;
  const quarter = Math.ceil(memory.length / 4);
  const first = median(memory.slice(0, quarter));
  const last = median(memory.slice(-quarter));
  console.log(
    table(
      ["minutes", "requests", "failed", "edits", "control-plane kills", "RSS first quarter MB", "RSS last quarter MB"],
      [
        [
          values.minutes,
          String(requests),
          String(failed),
          String(edits),
          String(kills),
          first.toFixed(0),
          last.toFixed(0),
        ],
      ],
    ),
  );
  for (const line of failures.slice(0, 20)) console.log(line);
  const open = readdirSync(`/proc/${mesh.pid}/fd`).length;
  console.log(`open files of the supervisor: ${open}`);
  if (failed > 0 || last > first * 1.33) process.exitCode = 1;
} finally {
  await mesh.stop();
}
