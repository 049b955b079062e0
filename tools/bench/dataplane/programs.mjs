/** How each proxy, and the backend, is told to do what a shape asks. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { envoyConfig } from "./envoy-config.mjs";

/** @typedef {import("./envoy-config.mjs").Shape} Shape */
/**
 * @typedef {object} Place
 * @property {string} folder scratch folder
 * @property {string} name unique among the programs that run
 * @property {number} port where it listens
 * @property {number} admin a free port for an admin interface
 * @property {number} backend what it forwards to
 * @property {import("./certificates.mjs").Certificates} certificates
 * @property {Record<string, { path: string }>} found programs by name
 */

const repository = resolve(import.meta.dirname, "../../..");
export const SIDECAR = join(repository, "apps/sidecar/dist/main.js");
export const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** What `lateen up` gives its sidecars in their environment. */
const ECONOMY = ["MALLOC_ARENA_MAX=2", "MALLOC_MMAP_THRESHOLD_=65536", "MALLOC_TRIM_THRESHOLD_=131072"];

function write(place, suffix, text) {
  const path = join(place.folder, `${place.name}.${suffix}`);
  writeFileSync(path, text);
  return path;
}

function nginxFrame(place, body, { module = "" } = {}) {
  const { folder, name } = place;
  return `${module}daemon off; worker_processes 1; pid ${folder}/${name}.pid; error_log /dev/null;
events { worker_connections 20000; }
${body}`;
}

function nginxHttp(place, body) {
  const { folder } = place;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder};`);
  return nginxFrame(
    place,
    `http { access_log off; keepalive_requests 100000000; keepalive_timeout 600s; ${temporary.join(" ")}
  ${body} }`,
  );
}

const serverTls = ({ certificate, key, root }) =>
  `ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_client_certificate ${root}; ssl_verify_client optional; ssl_protocols TLSv1.3; ssl_session_tickets off;`;

/** One listening nginx for every kind of answer: `/1k`, `/64k`, `/tiny` from memory, `/bulk` (8 MB) from a file. */
export function backend(place, { http2 = false, tls = false } = {}) {
  const { folder, port, certificates, found } = place;
  const files = join(folder, "files");
  mkdirSync(files, { recursive: true });
  writeFileSync(join(files, "64k"), "x".repeat(65_536));
  writeFileSync(join(files, "bulk"), Buffer.alloc(8_000_000, 120));
  const listen = `listen 127.0.0.1:${port}${http2 ? " http2" : ""}${tls ? " ssl" : ""} backlog=4096;`;
  const configuration = nginxHttp(
    place,
    `sendfile on; open_file_cache max=10; ${http2 ? "http2_max_requests 100000000;" : ""}
  server { ${listen} ${tls ? serverTls(certificates) : ""} default_type text/plain; root ${files};
    location / { return 200 "${"x".repeat(1024)}"; } location /test { return 200 "${"x".repeat(18)}"; }
    location = /64k {} location = /bulk {} }`,
  );
  return [found.nginx.path, "-c", write(place, "conf", configuration)];
}

/** @type {Record<string, (shape: Shape, place: Place, options?: { workers?: number, flags?: readonly string[] }) => string[]>} */
export const PROGRAMS = {
  nginx(shape, place) {
    const { port, backend, certificates, found } = place;
    const conf =
      shape.protocol === "tcp"
        ? nginxFrame(
            place,
            `stream { access_log off; server { listen 127.0.0.1:${port} backlog=4096; proxy_pass 127.0.0.1:${backend}; proxy_buffer_size 64k; } }`,
            { module: `load_module ${STREAM_MODULE};\n` },
          )
        : nginxHttp(place, nginxProxy(shape, port, backend, certificates));
    return [found.nginx.path, "-c", write(place, "conf", conf)];
  },
  haproxy(shape, place) {
    const { port, backend, certificates, found } = place;
    const http2 = shape.protocol === "http2" ? " proto h2" : "";
    const down = shape.tlsDown
      ? ` ssl crt ${certificates.pair} ca-file ${certificates.root} verify optional no-tls-tickets`
      : "";
    const up = shape.tlsUp
      ? ` ssl crt ${certificates.pair} ca-file ${certificates.root} verify required verifyhost localhost sni str(localhost)`
      : "";
    const mode = shape.protocol === "tcp" ? "mode tcp" : "mode http\n  option http-keep-alive\n  http-reuse always";
    const configuration = `global
  nbthread 1
  maxconn 8000
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  ${mode}
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend in
  bind 127.0.0.1:${port}${http2}${down}
  default_backend out
backend out
  server one 127.0.0.1:${backend}${http2}${up}
`;
    return [found.haproxy.path, "-f", write(place, "cfg", configuration)];
  },
  envoy(shape, place) {
    const config = write(place, "json", JSON.stringify(envoyConfig(shape, place)));
    return [place.found.envoy.path, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"];
  },
  lateen(shape, place, { workers = 1, flags = [] } = {}) {
    const config = write(place, "json", JSON.stringify(envoyConfig(shape, place)));
    return [
      "env",
      ...ECONOMY,
      process.execPath,
      SIDECAR,
      "--envoy-config",
      config,
      "--concurrency",
      String(workers),
      ...flags,
    ];
  },
};

function nginxProxy(shape, port, backend, certificates) {
  const { certificate, key, root } = certificates;
  const up = shape.tlsUp
    ? `proxy_ssl_certificate ${certificate}; proxy_ssl_certificate_key ${key}; proxy_ssl_trusted_certificate ${root}; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;`
    : "";
  const listen = `listen 127.0.0.1:${port}${shape.protocol === "http2" ? " http2" : ""}${shape.tlsDown ? " ssl" : ""} backlog=4096;`;
  const pass =
    shape.protocol === "http2"
      ? "grpc_pass grpc://backend;"
      : `proxy_pass ${shape.tlsUp ? "https" : "http"}://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffers 16 16k;`;
  return `upstream backend { server 127.0.0.1:${backend}; keepalive 256; keepalive_requests 100000000; }
  server { ${listen} ${shape.tlsDown ? serverTls(certificates) : ""} ${shape.protocol === "http2" ? "http2_max_requests 100000000;" : ""}
    location / { ${pass} ${up} } }`;
}
