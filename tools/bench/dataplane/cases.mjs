/** What is measured: for each case who takes part, what the load is, and how many times a peer it may cost. */
import { hostName } from "./envoy-config.mjs";

/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {"nginx" | "haproxy" | "envoy" | "lateen"} program
 * @property {import("./envoy-config.mjs").Shape} shape
 * @property {{ workers?: number, flags?: readonly string[] }} [options]
 */
/** @typedef {{ tool: "wrk" | "h2load", path: string, connections: number, streams?: number, headers?: readonly string[] }} Load */
/**
 * @typedef {object} Case
 * @property {string} name what `--only` takes
 * @property {string} title
 * @property {Contestant[]} contestants
 * @property {Load} load
 * @property {"cpuPerRequest" | "cpuPerGbit"} unit
 * @property {{ of: string, peer: string, most: number }[]} targets `of` costs at most `most` times what `peer` costs
 * @property {{ http2?: boolean, tls?: boolean }} [backend]
 */

/** What a browser or a library in a mesh sends. */
const REAL_HEADERS = [
  "accept: application/json, text/plain, */*",
  "accept-encoding: gzip, deflate, br",
  "accept-language: en-GB,en;q=0.9",
  "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
  "authorization: Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl",
  "content-type: application/json",
  "cache-control: no-cache",
  "cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
  "x-forwarded-for: 203.0.113.7",
  "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  "x-tenant: blue",
];

const http1 = /** @type {const} */ ({ protocol: "http1" });
const everyone = (/** @type {import("./envoy-config.mjs").Shape} */ shape) =>
  /** @type {const} */ (["nginx", "haproxy", "envoy", "lateen"]).map((program) => ({ name: program, program, shape }));
/** On the back end that every Node.js has. */
const PORTABLE = /** @type {const} */ ({
  name: "lateen-portable",
  program: "lateen",
  shape: http1,
  options: { flags: ["--io-backend", "portable"] },
});
const GET_1K = /** @type {const} */ ({ tool: "wrk", path: "/1k", connections: 64 });

/** @param {string} folder where access logs go @returns {Case[]} */
export function cases(folder) {
  const mesh = (/** @type {string} */ name) => ({
    ...http1,
    virtualHosts: 1000,
    policies: 20,
    accessLog: `${folder}/${name}.log`,
  });
  const hosts = (/** @type {number} */ virtualHosts) => ({
    name: `lateen-${virtualHosts}`,
    program: /** @type {const} */ ("lateen"),
    shape: { ...http1, virtualHosts },
  });
  return [
    {
      name: "h1",
      title: "HTTP/1.1, GET 1 KB, nothing else",
      contestants: [...everyone(http1), PORTABLE],
      load: GET_1K,
      unit: "cpuPerRequest",
      targets: [{ of: "lateen", peer: "nginx", most: 1.05 }],
    },
    {
      name: "mesh",
      title:
        "HTTP/1.1, GET 1 KB, 13 headers: 1,000 virtual hosts, 20 RBAC policies, statistics, access log (nginx: nothing of it)",
      contestants: [
        { name: "nginx", program: "nginx", shape: http1 },
        { name: "envoy", program: "envoy", shape: mesh("envoy") },
        { name: "lateen", program: "lateen", shape: mesh("lateen") },
      ],
      load: { ...GET_1K, path: "/api/1k", headers: [`Host: ${hostName(500)}`, ...REAL_HEADERS] },
      unit: "cpuPerRequest",
      targets: [
        { of: "lateen", peer: "nginx", most: 1.25 },
        { of: "lateen", peer: "envoy", most: 0.8 },
      ],
    },
    {
      name: "h1-64k",
      title: "HTTP/1.1, GET 64 KB",
      contestants: everyone(http1),
      load: { ...GET_1K, path: "/64k" },
      unit: "cpuPerRequest",
      targets: [{ of: "lateen", peer: "nginx", most: 0.8 }],
    },
    {
      name: "mtls",
      title: "HTTP/1.1, GET 1 KB, TLS 1.3 on both sides, client certificate upstream",
      contestants: everyone({ ...http1, tlsDown: true, tlsUp: true }),
      load: GET_1K,
      unit: "cpuPerRequest",
      targets: [{ of: "lateen", peer: "nginx", most: 1.15 }],
      backend: { tls: true },
    },
    {
      name: "h2",
      title: "HTTP/2 to HTTP/2 without TLS, unary of 18 bytes, 16 connections of 32 streams",
      contestants: everyone({ protocol: "http2" }),
      load: { tool: "h2load", path: "/test.Echo/Unary", connections: 16, streams: 32 },
      unit: "cpuPerRequest",
      targets: [{ of: "lateen", peer: "haproxy", most: 1.2 }],
      backend: { http2: true },
    },
    {
      name: "tcp",
      title: "TCP, 8 MB answers over 4 connections",
      contestants: everyone({ protocol: "tcp" }),
      load: { tool: "wrk", path: "/bulk", connections: 4 },
      unit: "cpuPerGbit",
      targets: [{ of: "lateen", peer: "nginx", most: 1.0 }],
    },
    {
      name: "tls-new",
      title: "A new TLS 1.3 connection (full handshake) for every GET of 1 KB",
      contestants: everyone({ ...http1, tlsDown: true }),
      load: { ...GET_1K, headers: ["connection: close"] },
      unit: "cpuPerRequest",
      targets: [{ of: "lateen", peer: "nginx", most: 2.0 }],
    },
    {
      name: "hosts",
      title: "HTTP/1.1, GET 1 KB with 10 and with 10,000 virtual hosts",
      contestants: [hosts(10), hosts(10_000)],
      load: { ...GET_1K, headers: [`Host: ${hostName(5)}`] },
      unit: "cpuPerRequest",
      targets: [{ of: "lateen-10000", peer: "lateen-10", most: 1.1 }],
    },
  ];
}
