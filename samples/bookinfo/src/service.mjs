// What the five services share: an HTTP server that obeys HOST/PORT, answers JSON, passes trace headers on, and stops cleanly.
import http from "node:http";

/** Headers a service must copy from the request it serves to the requests it makes, so that traces join up and rules can match. */
const PROPAGATED = [
  "x-request-id",
  "traceparent",
  "tracestate",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
  "b3",
  "end-user",
  "user-agent",
  "authorization",
  "cookie",
];

export function propagated(request, extra = {}) {
  const headers = {};
  for (const name of PROPAGATED) {
    const value = request.headers[name];
    if (value !== undefined) headers[name] = value;
  }
  return { ...headers, ...extra };
}

// One agent for the process: keep-alive, and the proxy of the environment (http_proxy), which is how the mesh captures traffic.
const agent = new http.Agent({ keepAlive: true, maxSockets: 256, proxyEnv: process.env });

/**
 * One GET. Resolves to `{ status, json }`; `json` is undefined when the body is not JSON.
 * Rejects when nothing answered within `timeoutMs`.
 */
export function getJson(url, headers, timeoutMs) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { headers, agent, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        let json;
        try {
          json = JSON.parse(text);
        } catch {
          json = undefined;
        }
        resolve({ status: response.statusCode, json, text });
      });
    });
    request.on("error", reject);
  });
}

export function sendJson(response, status, value, headers = {}) {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

/**
 * Starts the service. `routes` are tried in order: `[method, RegExp on the path, handler(request, response, match, url)]`.
 * HOST and PORT come from the environment; SIGTERM finishes what is in flight.
 */
export function startService(name, routes) {
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://service.local");
    for (const [method, pattern, handler] of routes) {
      const match = pattern.exec(url.pathname);
      if (request.method !== method || match === null) continue;
      Promise.resolve(handler(request, response, match, url)).catch((error) => {
        console.error(`${name}: ${request.method} ${url.pathname}: ${error.message}`);
        if (response.headersSent) response.destroy();
        else sendJson(response, 500, { error: "internal error" });
      });
      return;
    }
    sendJson(response, 404, { error: `${name} has no ${url.pathname}` });
  });
  server.keepAliveTimeout = 60_000;
  const port = Number(process.env.PORT ?? 9080);
  const host = process.env.HOST ?? "127.0.0.1";
  server.listen(port, host, () => console.log(`${name} listens on ${host}:${server.address().port}`));
  process.on("SIGTERM", () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 2_000).unref();
  });
  return server;
}

export const healthRoute = [
  "GET",
  /^\/health$/,
  (_request, response) => sendJson(response, 200, { status: "healthy" }),
];
