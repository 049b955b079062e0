/**
 * bench:http2 — CPU per request, throughput and memory of the sidecar for HTTP/2 in and out beside haproxy: unary calls of gRPC size.
 * One backend (nginx) and one load generator (h2load) share core 0; the proxy under test has core 1 to itself. Rounds are interleaved:
 * every round measures every proxy once, and only ratios within a round are compared.
 */
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ensureService } from "@lateen/services";
import { Children, pinTo, waitForPort } from "./lib/children.mjs";
import { runH2load } from "./lib/h2load.mjs";
import { median, table, withSpread } from "./lib/numbers.mjs";
import { cpuSeconds, rssMegabytes } from "./lib/process.mjs";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    seconds: { type: "string", default: "4" },
    connections: { type: "string", default: "16" },
    streams: { type: "string", default: "32" },
    output: { type: "string", short: "o" },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const connections = Number(values.connections);
const streams = Number(values.streams);
const repository = resolve(import.meta.dirname, "../..");
const BACKEND = 29200;
const SERVED_BY = { haproxy: 29202, lateen: 29203 };

const found = Object.fromEntries(["nginx", "haproxy", "h2load"].map((name) => [name, ensureService(name)]));
for (const { name, path, reason } of Object.values(found)) {
  if (path !== undefined) continue;
  console.log(`skipped: bench:http2 needs ${name}: ${reason}`);
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
      `server { listen 127.0.0.1:${BACKEND} http2 backlog=1024; http2_max_requests 100000000; location / { default_type text/plain; return 200 "${"x".repeat(18)}"; } }`,
    ),
  );
  const haproxy = file(
    "haproxy.cfg",
    `global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  option http-keep-alive\n  http-reuse always
frontend in\n  bind 127.0.0.1:${SERVED_BY.haproxy} proto h2\n  default_backend out\nbackend out\n  server one 127.0.0.1:${BACKEND} proto h2\n`,
  );
  const lateen = file("lateen.yaml", lateenBootstrap(SERVED_BY.lateen, BACKEND));
  return {
    backend: [...pinTo(0), found.nginx.path, "-c", backend],
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
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 29300 } } }
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
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
      load_assignment:
        cluster_name: backend
        endpoints:
          - lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${backend} } } } }]
`;

async function measure(name, pid, duration) {
  const before = cpuSeconds(pid);
  const run = await runH2load({
    h2load: found.h2load.path,
    url: `http://127.0.0.1:${SERVED_BY[name]}/test.Echo/Unary`,
    connections,
    streams,
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
    ratio(name, "cpu", "haproxy"),
    middle(name, "rps").toFixed(0),
    middle(name, "mean").toFixed(2),
    idle[name].toFixed(0),
    middle(name, "rss").toFixed(0),
    String(results[name].reduce((sum, run) => sum + run.errors, 0)),
  ]);
  const text = `HTTP/2 both sides, 18 bytes, ${connections} connections of ${streams} streams, ${rounds} interleaved rounds of ${seconds} s; nginx ${found.nginx.version}, haproxy ${found.haproxy.version}, Node.js ${process.versions.node}; ratios are the median of per-round ratios [spread]

${table(["proxy", "CPU µs/req", "× haproxy", "req/s", "mean ms", "RSS idle MB", "RSS loaded MB", "errors"], rows)}
`;
  console.log(text);
  if (values.output !== undefined) writeFileSync(values.output, text);
}

try {
  await main();
} finally {
  await children.stop();
}
