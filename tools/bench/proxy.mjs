/**
 * bench:proxy — CPU per request, throughput, latency and memory of the sidecar's data path beside nginx and haproxy, for 1 KB GETs.
 * One backend (nginx) and one load generator (wrk) share core 0; the proxy under test has core 1 to itself. Rounds are interleaved:
 * every round measures every proxy once, and only ratios within a round are compared.
 */
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ensureService } from "@lateen/services";
import { Children, pinTo, waitForPort } from "./lib/children.mjs";
import { median, table, withSpread } from "./lib/numbers.mjs";
import { cpuSeconds, rssMegabytes } from "./lib/process.mjs";
import { runWrk } from "./lib/wrk.mjs";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    seconds: { type: "string", default: "4" },
    connections: { type: "string", default: "64" },
    output: { type: "string", short: "o" },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const connections = Number(values.connections);
const repository = resolve(import.meta.dirname, "../..");
const BACKEND = 29000;
const SERVED_BY = { nginx: 29001, haproxy: 29002, lateen: 29003 };

const found = Object.fromEntries(["nginx", "haproxy", "wrk"].map((name) => [name, ensureService(name)]));
for (const { name, path, reason } of Object.values(found)) {
  if (path !== undefined) continue;
  console.log(`skipped: bench:proxy needs ${name}: ${reason}`);
  process.exit(process.env.CI === "true" ? 1 : 0);
}

const children = new Children();
const file = (name, text) => {
  const path = join(children.folder, name);
  writeFileSync(path, text);
  return path;
};
const nginxFrame = (
  http,
) => `daemon off; worker_processes 1; pid ${children.folder}/${Math.random()}.pid; error_log /dev/null;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; keepalive_timeout 300s; client_body_temp_path ${children.folder}; proxy_temp_path ${children.folder};
  fastcgi_temp_path ${children.folder}; uwsgi_temp_path ${children.folder}; scgi_temp_path ${children.folder}; ${http} }`;

function commands() {
  const backend = file(
    "backend.conf",
    nginxFrame(
      `server { listen 127.0.0.1:${BACKEND} backlog=1024; location / { default_type text/plain; return 200 "${"x".repeat(1024)}"; } }`,
    ),
  );
  const nginx = file(
    "nginx.conf",
    nginxFrame(`upstream backend { server 127.0.0.1:${BACKEND}; keepalive 256; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${SERVED_BY.nginx} backlog=1024; location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; } }`),
  );
  const haproxy = file(
    "haproxy.cfg",
    `global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  option http-keep-alive\n  http-reuse always
frontend in\n  bind 127.0.0.1:${SERVED_BY.haproxy}\n  default_backend out\nbackend out\n  server one 127.0.0.1:${BACKEND}\n`,
  );
  const lateen = file("lateen.yaml", lateenBootstrap(SERVED_BY.lateen, BACKEND));
  return {
    backend: [...pinTo(0), found.nginx.path, "-c", backend],
    nginx: [...pinTo(1), found.nginx.path, "-c", nginx],
    haproxy: [...pinTo(1), found.haproxy.path, "-f", haproxy],
    lateen: [
      ...pinTo(1),
      process.execPath,
      join(repository, "apps/sidecar/dist/main.js"),
      "--envoy-config",
      lateen,
      "--concurrency",
      "1",
    ],
  };
}

/** The same job in Envoy's own bootstrap: one listener, one route, one static cluster. */
const lateenBootstrap = (port, backend) => `
node: { id: bench, cluster: bench }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 29100 } } }
static_resources:
  listeners:
    - name: bench
      address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: bench
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
                route_config:
                  name: bench
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{ match: { prefix: "/" }, route: { cluster: backend } }]
  clusters:
    - name: backend
      type: STATIC
      connect_timeout: 5s
      load_assignment:
        cluster_name: backend
        endpoints:
          - lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${backend} } } } }]
`;

async function measure(name, pid, duration) {
  const before = cpuSeconds(pid);
  const run = await runWrk({
    wrk: found.wrk.path,
    url: `http://127.0.0.1:${SERVED_BY[name]}/1k`,
    connections,
    seconds: duration,
    pin: pinTo(0),
  });
  const after = cpuSeconds(pid);
  const cpu = ((after.total - before.total) / run.requests) * 1e6;
  return { ...run, cpu, rss: rssMegabytes(pid) };
}

async function main() {
  const argv = commands();
  const backend = children.start(argv.backend);
  await waitForPort(BACKEND, backend);
  const names = Object.keys(SERVED_BY);
  const running = {};
  const idle = {};
  for (const name of names) {
    running[name] = children.start(argv[name]);
    await waitForPort(SERVED_BY[name], running[name]);
    idle[name] = rssMegabytes(running[name].pid);
  }
  for (const name of names) await measure(name, running[name].pid, 2);
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const name of names) results[name].push(await measure(name, running[name].pid, seconds));
    const line = names.map((name) => `${name} ${results[name].at(-1).cpu.toFixed(1)} µs`).join(", ");
    console.error(`round ${round}/${rounds}: CPU per request ${line}`);
  }
  report(names, results, idle);
}

function report(names, results, idle) {
  const middle = (name, key) => median(results[name].map((run) => run[key]));
  const ratio = (name, key, peer) =>
    withSpread(results[name].map((run, round) => run[key] / results[peer][round][key]));
  const rows = names.map((name) => [
    name,
    middle(name, "cpu").toFixed(1),
    ratio(name, "cpu", "nginx"),
    ratio(name, "cpu", "haproxy"),
    middle(name, "rps").toFixed(0),
    middle(name, "p50").toFixed(2),
    middle(name, "p99").toFixed(2),
    idle[name].toFixed(0),
    middle(name, "rss").toFixed(0),
    String(results[name].reduce((sum, run) => sum + run.errors, 0)),
  ]);
  const text = `1 KB GET, ${connections} keep-alive connections, ${rounds} interleaved rounds of ${seconds} s; nginx ${found.nginx.version}, haproxy ${found.haproxy.version}, Node.js ${process.versions.node}; ratios are the median of per-round ratios [spread]

${table(["proxy", "CPU µs/req", "× nginx", "× haproxy", "req/s", "p50 ms", "p99 ms", "RSS idle MB", "RSS loaded MB", "errors"], rows)}
`;
  console.log(text);
  if (values.output !== undefined) writeFileSync(values.output, text);
}

try {
  await main();
} finally {
  await children.stop();
}
