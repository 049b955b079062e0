/** bench:propagation — from saving a YAML file to the first response under the new rule, seen at the ingress gateway, under load. */
import http from "node:http";
import { parseArgs } from "node:util";
import { BenchMesh, get } from "./lib/mesh.mjs";
import { quantile, table } from "./lib/numbers.mjs";

const { values } = parseArgs({ options: { edits: { type: "string", default: "50" } } });
const rule = (version) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: direct }
spec:
  hosts: [direct.example.com]
  gateways: [bookinfo-gateway]
  http:
    - route: [{ destination: { host: reviews, subset: ${version} } }]
`;
const headers = { host: "direct.example.com" };
const mesh = await new BenchMesh().prepare();
try {
  mesh.write("direct.yaml", rule("v1"));
  mesh.start();
  const agent = new http.Agent({ keepAlive: true });
  const version = async () => (await get(mesh.url("/reviews/0"), { headers, agent })).headers["x-reviews-version"];
  await mesh.until("the first rule", async () => (await mesh.pageIsComplete()) && (await version()) === "v1");

  let running = true;
  let requests = 0;
  let failed = 0;
  const load = Promise.all(
    Array.from({ length: 4 }, async () => {
      const mine = new http.Agent({ keepAlive: true, maxSockets: 1 });
      while (running) {
        requests++;
        const { status } = await get(mesh.url("/reviews/0"), { headers, agent: mine }).catch(() => ({ status: 0 }));
        if (status !== 200) failed++;
        await new Promise((done) => setTimeout(done, 5));
      }
    }),
  );
  const times = [];
  for (let edit = 1; edit <= Number(values.edits); edit++) {
    const next = edit % 2 === 1 ? "v3" : "v1";
    const start = performance.now();
    mesh.write("direct.yaml", rule(next));
    await mesh.until(`only ${next}`, async () => (await version()) === next, { everyMs: 2 });
    times.push(performance.now() - start);
  }
  running = false;
  await load;
  const figures = [0.5, 0.9, 0.99, 1].map((share) => quantile(times, share).toFixed(0));
  console.log(`${times.length} edits, ${requests} requests meanwhile, ${failed} failed\n`);
  console.log(
    table(
      ["file saved to first new response", "p50 ms", "p90 ms", "p99 ms", "most ms"],
      [["ingress gateway", ...figures]],
    ),
  );
  if (failed > 0) process.exitCode = 1;
} finally {
  await mesh.stop();
}
