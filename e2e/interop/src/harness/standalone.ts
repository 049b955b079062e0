import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, freePort } from "@lateen/test-support";
import { app, Program } from "./programs.ts";

/** What a stand-alone proxy does: one listener, one route, one cluster. */
export interface StandaloneOptions {
  /** How the listener speaks: `AUTO` tells by the connection's first bytes. */
  readonly codec: "AUTO" | "HTTP2";
  readonly upstreamPort: number;
  /** Speak HTTP/2 to the upstream. */
  readonly http2Upstream?: boolean;
  /** Fields of the route's action, YAML flow. */
  readonly route?: string;
}

/** Our proxy by itself, from an Envoy bootstrap. */
export interface Standalone {
  readonly port: number;
  readonly process: Program;
  stop(): Promise<void>;
}

/** Starts one; resolves when it listens. */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const folder = await mkdtemp(join(tmpdir(), "lateen-standalone-"));
  const file = join(folder, "envoy.yaml");
  const port = await freePort();
  await writeFile(file, bootstrap(options, port, await freePort()));
  const process_ = new Program("sidecar", [process.execPath, app("sidecar"), "--envoy-config", file]);
  const stop = async () => {
    await process_.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await eventually("the proxy listens", () => reachable(port, process_), 60_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, process: process_, stop };
}

function reachable(port: number, started: Program): Promise<true | undefined> {
  started.alive();
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(undefined));
  });
}

const bootstrap = (options: StandaloneOptions, port: number, admin: number): string => `
node: { id: standalone, cluster: standalone }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: ${admin} } } }
static_resources:
  listeners:
    - name: listener
      address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: listener
                codec_type: ${options.codec}
                upgrade_configs: [{ upgrade_type: websocket }]
                http_protocol_options: { accept_http_10: true }
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{ match: { prefix: "/" }, route: { cluster: backend, ${options.route ?? "timeout: 0s"} } }]
  clusters:
    - name: backend
      type: STATIC
${options.http2Upstream ? HTTP2_UPSTREAM : ""}
      load_assignment:
        cluster_name: backend
        endpoints:
          - lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${options.upstreamPort} } } } }]
`;

const HTTP2_UPSTREAM = `      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }`;
