import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type Server } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { app, Program, program } from "./harness/programs.ts";

const h2spec = program("h2spec");
const folder = mkdtempSync(join(tmpdir(), "lateen-h2spec-"));
let sidecar: Program | undefined;
let backend: Server | undefined;
let port = 0;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: free } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return free;
}

const bootstrap = (listen: number, upstream: number, admin: number): string => `
node: { id: h2spec, cluster: h2spec }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: ${admin} } } }
static_resources:
  listeners:
    - name: http2
      address: { socket_address: { address: 127.0.0.1, port_value: ${listen} } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: http2
                codec_type: HTTP2
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{ match: { prefix: "/" }, route: { cluster: backend } }]
  clusters:
    - name: backend
      type: STATIC
      load_assignment:
        cluster_name: backend
        endpoints:
          - lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${upstream} } } } }]
`;

async function listening(on: number, started: Program): Promise<void> {
  for (;;) {
    started.alive();
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ port: on, host: "127.0.0.1" }, () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe.skipIf(h2spec.path === undefined)("h2spec", () => {
  beforeAll(async () => {
    const server = createHttpServer((request, response) => {
      request.resume();
      request.on("end", () => response.end("an answer of some length"));
    });
    backend = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = await freePort();
    const file = join(folder, "envoy.yaml");
    writeFileSync(file, bootstrap(port, (server.address() as AddressInfo).port, await freePort()));
    const started = new Program("sidecar", [process.execPath, app("sidecar"), "--envoy-config", file]);
    sidecar = started;
    await listening(port, started);
  });

  afterAll(async () => {
    await sidecar?.stop();
    backend?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("finds no failure", { timeout: 120_000 }, async () => {
    const { path } = h2spec;
    if (path === undefined) throw new Error("skipped without h2spec");
    const output = await new Promise<string>((resolve) => {
      execFile(path, ["-h", "127.0.0.1", "-p", String(port), "-o", "5"], { maxBuffer: 10_000_000 }, (_, text) =>
        resolve(text),
      );
    });
    expect(output.slice(Math.max(0, output.indexOf("Failures:")))).toMatch(
      /[0-9]+ tests, [0-9]+ passed, 0 skipped, 0 failed/,
    );
  });
});
