import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@lateen/test-support";
import { read, type Via } from "./http.ts";
import { app, Program, program } from "./programs.ts";

const STARTED_MS = 60_000;
const ADMIN = 21_999;
/** Each proxy has a loopback address of its own, so that both may use the same ports. */
const ADDRESSES = { envoy: "127.71.0.1", own: "127.71.0.2" } as const;

export type Flavor = keyof typeof ADDRESSES;

/** One listener and what its routes and filters are, in the JSON form of Envoy's messages. */
export interface StaticListener {
  readonly port: number;
  readonly httpFilters: readonly object[];
  readonly virtualHost: object;
  readonly more?: object;
  /** Format of the lines that are written to the proxy's access log; none when undefined. */
  readonly logFormat?: string;
}

/** Envoy and our own proxy, each from the same bootstrap file and without a control plane. */
export class StandAlone {
  readonly #folder: string;
  readonly #programs: readonly Program[];

  private constructor(folder: string, programs: readonly Program[]) {
    this.#folder = folder;
    this.#programs = programs;
  }

  static async start(listeners: readonly StaticListener[], clusters: readonly object[]): Promise<StandAlone> {
    const folder = await mkdtemp(join(tmpdir(), "lateen-stand-alone-"));
    const envoy = program("envoy");
    if (envoy.path === undefined) throw new Error(envoy.reason);
    const files = await Promise.all(
      (["envoy", "own"] as const).map(async (flavor) => {
        const file = join(folder, `${flavor}.json`);
        await writeFile(
          file,
          JSON.stringify(bootstrap(ADDRESSES[flavor], listeners, clusters, join(folder, `${flavor}.log`)), null, 1),
        );
        return file;
      }),
    );
    const [envoyFile = "", ownFile = ""] = files;
    const programs = [
      new Program("Envoy", [
        envoy.path,
        "-c",
        envoyFile,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--file-flush-interval-msec",
        "50",
        "-l",
        "warning",
      ]),
      new Program("our proxy", [
        process.execPath,
        app("sidecar"),
        "--envoy-config",
        ownFile,
        "--admin-address",
        ADDRESSES.own,
      ]),
    ];
    const made = new StandAlone(folder, programs);
    try {
      for (const [index, host] of Object.values(ADDRESSES).entries()) {
        await eventually(
          `${programs[index]?.name} is ready`,
          async () => {
            programs[index]?.alive();
            const { status, body } = await read({ host, port: ADMIN, path: "/ready" });
            if (status !== 200) throw new Error(`${status} ${body} ${programs[index]?.output.slice(-2_000)}`);
            return true;
          },
          STARTED_MS,
        );
      }
    } catch (error) {
      await made.stop();
      throw error;
    }
    return made;
  }

  via(flavor: Flavor, port: number): Via {
    return { host: ADDRESSES[flavor], port };
  }

  async admin(flavor: Flavor, path: string): Promise<string> {
    return (await read({ host: ADDRESSES[flavor], port: ADMIN, path })).body;
  }

  /** Lines of the proxy's access log so far. */
  async log(flavor: Flavor): Promise<readonly string[]> {
    const text = await readFile(join(this.#folder, `${flavor}.log`), "utf8");
    return text.split("\n").slice(0, -1);
  }

  get output(): string {
    return this.#programs.map(({ name, output }) => `${name}:\n${output.slice(-3_000)}`).join("\n");
  }

  async stop(): Promise<void> {
    await Promise.all(this.#programs.map((running) => running.stop()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function bootstrap(
  address: string,
  listeners: readonly StaticListener[],
  clusters: readonly object[],
  log: string,
): object {
  return {
    node: { id: "test", cluster: "test" },
    admin: { address: { socket_address: { address, port_value: ADMIN } } },
    static_resources: { listeners: listeners.map((listener) => listenerOf(address, listener, log)), clusters },
  };
}

const ROUTER = {
  name: "envoy.filters.http.router",
  typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
};

function listenerOf(address: string, listener: StaticListener, log: string): object {
  const { port, httpFilters, virtualHost, more = {}, logFormat } = listener;
  const typed_config = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: `p${port}`,
    http_filters: [...httpFilters, ROUTER],
    route_config: {
      name: "r",
      validate_clusters: false,
      virtual_hosts: [{ name: "v", domains: ["*"], ...virtualHost }],
    },
    ...(logFormat === undefined ? {} : { access_log: [fileLog(log, logFormat)] }),
    ...more,
  };
  return {
    name: `l${port}`,
    address: { socket_address: { address, port_value: port } },
    filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config }] }],
  };
}

function fileLog(path: string, inline_string: string): object {
  const typed_config = {
    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
    path,
    log_format: { text_format_source: { inline_string } },
  };
  return { name: "envoy.access_loggers.file", typed_config };
}

const HTTP2 = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: {} },
  },
};

/** A static cluster of endpoints on 127.0.0.1. */
export function staticCluster(
  name: string,
  ports: readonly number[],
  more: { readonly http2?: boolean } & object = {},
): object {
  const { http2 = false, ...rest } = more;
  const endpoint = (port: number) => ({
    endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
  });
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: ports.map(endpoint) }] },
    ...(http2 ? { typed_extension_protocol_options: HTTP2 } : {}),
    ...rest,
  };
}

/** An HTTP filter in the JSON form; `type` is what follows `envoy.extensions.filters.http.`. */
export function httpFilter(name: string, type: string, config: object): object {
  const url = `type.googleapis.com/envoy.extensions.filters.http.${type}`;
  return { name: `envoy.filters.http.${name}`, typed_config: { "@type": url, ...config } };
}
