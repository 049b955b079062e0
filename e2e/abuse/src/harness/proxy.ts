import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { eventually, freePorts } from "@lateen/test-support";
import { Daemon } from "./programs.ts";

const sidecar = resolve(import.meta.dirname, "../../../../apps/sidecar/dist/main.js");
const STARTED_MS = 60_000;

/** What the victim does with requests; all values are in the JSON form of Envoy's messages. */
export interface VictimOptions {
  readonly upstreamPort: number;
  /** Instead of one port: several endpoints. */
  readonly upstreamPorts?: readonly number[];
  /** Further fields of the cluster. */
  readonly cluster?: object;
  /** Further fields of the route to it. */
  readonly routeAction?: object;
  /** Filters before the router. */
  readonly filters?: readonly object[];
  /** Before the one that sends everything to the upstream. */
  readonly virtualHosts?: readonly object[];
  /** Before the one that sends everything to the upstream, in the host of all other names. */
  readonly routes?: readonly object[];
  /** Further fields of the connection manager. */
  readonly manager?: object;
  /** PEM files of a second listener that speaks TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly clientRoots?: string };
  readonly maxConnections?: number;
}

/** Our proxy by itself with an edge's settings, to be attacked. */
export class Victim {
  readonly process: Daemon;
  /** HTTP/1 and HTTP/2. */
  readonly port: number;
  /** The same behind a PROXY protocol header. */
  readonly proxyPort: number;
  readonly tlsPort: number;
  readonly #admin: number;
  readonly #folder: string;

  private constructor(folder: string, process_: Daemon, ports: readonly [number, number, number, number]) {
    this.#folder = folder;
    this.process = process_;
    [this.port, this.proxyPort, this.tlsPort, this.#admin] = ports;
  }

  static async start(options: VictimOptions): Promise<Victim> {
    const folder = await mkdtemp(join(tmpdir(), "lateen-abuse-"));
    const [port = 0, proxyPort = 0, tlsPort = 0, admin = 0] = await freePorts(4);
    const file = join(folder, "envoy.json");
    await writeFile(file, JSON.stringify(bootstrap(options, [port, proxyPort, tlsPort, admin], folder)));
    const argv = [process.execPath, sidecar, "--envoy-config", file];
    if (options.maxConnections !== undefined) argv.push("--max-connections", String(options.maxConnections));
    const victim = new Victim(folder, new Daemon(argv), [port, proxyPort, tlsPort, admin]);
    try {
      await eventually("the proxy listens", () => victim.#listens(options.tls !== undefined), STARTED_MS);
    } catch (error) {
      await victim.stop();
      throw error;
    }
    return victim;
  }

  async #listens(tls: boolean): Promise<true | undefined> {
    this.process.alive();
    const open = (port: number) =>
      new Promise<boolean>((done) => {
        const socket = connect({ port, host: "127.0.0.1" }, () => {
          socket.destroy();
          done(true);
        });
        socket.on("error", () => done(false));
      });
    const ports = [this.port, this.proxyPort, ...(tls ? [this.tlsPort] : [])];
    return (await Promise.all(ports.map(open))).every(Boolean) ? true : undefined;
  }

  url(path = "/"): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** Ports of the endpoints that outlier detection holds back, as the admin interface tells. */
  async ejected(): Promise<readonly number[]> {
    const clusters = await (await fetch(`http://127.0.0.1:${this.#admin}/clusters`)).text();
    return [...clusters.matchAll(/:(\d+)::health_flags::\/failed_outlier_check/g)].map(([, port]) => Number(port));
  }

  /** Lines of the access log so far. */
  async log(): Promise<readonly string[]> {
    return (await readFile(join(this.#folder, "access.log"), "latin1").catch(() => ""))
      .split("\n")
      .filter((line) => line !== "");
  }

  /** Resident memory in bytes: now, and the most since {@link forgetPeak}. */
  async memory(): Promise<{ readonly now: number; readonly peak: number }> {
    const status = await readFile(`/proc/${this.process.pid}/status`, "utf8");
    const kilobytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024;
    return { now: kilobytes("VmRSS"), peak: kilobytes("VmHWM") };
  }

  async forgetPeak(): Promise<void> {
    await writeFile(`/proc/${this.process.pid}/clear_refs`, "5");
  }

  async stop(): Promise<void> {
    await this.process.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const type = (name: string) => `type.googleapis.com/envoy.${name}`;
const address = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });

function bootstrap(options: VictimOptions, ports: readonly [number, number, number, number], folder: string): object {
  const [port, proxyPort, tlsPort, admin] = ports;
  const http = {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: manager(options, folder),
  };
  const secure = {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": type("extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
      require_client_certificate: options.tls?.clientRoots !== undefined,
      common_tls_context: {
        alpn_protocols: ["h2", "http/1.1"],
        tls_certificates: [
          { certificate_chain: { filename: options.tls?.certificate }, private_key: { filename: options.tls?.key } },
        ],
        ...(options.tls?.clientRoots === undefined
          ? {}
          : { validation_context: { trusted_ca: { filename: options.tls.clientRoots } } }),
      },
    },
  };
  const listenerFilter = (name: string) => ({
    name: `envoy.filters.listener.${name}`,
    typed_config: {
      "@type": type(
        `extensions.filters.listener.${name}.v3.${name === "tls_inspector" ? "TlsInspector" : "ProxyProtocol"}`,
      ),
    },
  });
  const listeners = [
    { name: "plain", address: address(port), filter_chains: [{ filters: [http] }] },
    {
      name: "proxied",
      address: address(proxyPort),
      listener_filters: [listenerFilter("proxy_protocol")],
      listener_filters_timeout: "2s",
      filter_chains: [{ filters: [http] }],
    },
    ...(options.tls === undefined
      ? []
      : [
          {
            name: "secure",
            address: address(tlsPort),
            listener_filters: [listenerFilter("tls_inspector")],
            listener_filters_timeout: "2s",
            filter_chains: [{ filters: [http], transport_socket: secure }],
          },
        ]),
  ];
  const upstreams = options.upstreamPorts ?? [options.upstreamPort];
  const lb_endpoints = upstreams.map((upstream) => ({ endpoint: { address: address(upstream) } }));
  const cluster = {
    name: "backend",
    type: "STATIC",
    connect_timeout: "30s",
    // As a mesh has it: the application's limits are not what is tested.
    circuit_breakers: {
      thresholds: [
        { max_connections: 100_000, max_pending_requests: 100_000, max_requests: 100_000, max_retries: 100_000 },
      ],
    },
    load_assignment: { cluster_name: "backend", endpoints: [{ lb_endpoints }] },
    ...options.cluster,
  };
  return {
    node: { id: "victim", cluster: "victim" },
    admin: { address: address(admin) },
    static_resources: { listeners, clusters: [cluster] },
  };
}

function manager(
  { filters = [], virtualHosts = [], routes = [], routeAction = {}, manager: more = {} }: VictimOptions,
  folder: string,
): object {
  return {
    "@type": type("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "victim",
    use_remote_address: true,
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: "UNESCAPE_AND_FORWARD",
    http2_protocol_options: { max_concurrent_streams: 100 },
    upgrade_configs: [{ upgrade_type: "websocket" }],
    access_log: [
      {
        name: "envoy.access_loggers.file",
        typed_config: {
          "@type": type("extensions.access_loggers.file.v3.FileAccessLog"),
          path: join(folder, "access.log"),
          log_format: {
            text_format_source: {
              inline_string:
                "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% sni=%REQUESTED_SERVER_NAME% agent=%REQ(USER-AGENT)%\n",
            },
          },
        },
      },
    ],
    http_filters: [
      ...filters,
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": type("extensions.filters.http.router.v3.Router") },
      },
    ],
    route_config: {
      name: "r",
      virtual_hosts: [
        ...virtualHosts,
        {
          name: "others",
          domains: ["*"],
          routes: [...routes, { match: { prefix: "/" }, route: { cluster: "backend", timeout: "0s", ...routeAction } }],
        },
      ],
    },
    ...more,
  };
}

/** An RBAC filter that denies what matches the permission. */
export function deny(permission: object): object {
  return {
    name: "envoy.filters.http.rbac",
    typed_config: {
      "@type": type("extensions.filters.http.rbac.v3.RBAC"),
      rules: { action: "DENY", policies: { test: { permissions: [permission], principals: [{ any: true }] } } },
    },
  };
}
