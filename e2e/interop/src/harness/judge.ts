import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packAny } from "@lateen/proto";
import { Cluster, Cluster_DiscoveryType } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { Router } from "@lateen/proto/envoy/extensions/filters/http/router/v3/router";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { DiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { eventually } from "@lateen/test-support";
import { read } from "./http.ts";
import { Program, program } from "./programs.ts";

/** A resource as a proxy would get it. */
export interface Served {
  readonly type: "cluster" | "endpoint" | "listener" | "route";
  readonly bytes: Uint8Array;
}

const STARTED_MS = 60_000;
const ADMIN = { host: "127.71.9.1", port: 21_998 } as const;
/** Resources of one start of Envoy. */
const PORTION = 400;

/**
 * Asks a real Envoy which of these resources it would refuse, each by itself: they get names and addresses of their own, so that they do
 * not stand in each other's way. Routes are looked at within a listener, endpoints within a cluster.
 * @returns reasons by position.
 */
export async function refusals(
  resources: readonly Served[],
  known: readonly string[] = [],
): Promise<ReadonlyMap<number, string>> {
  const found = new Map<number, string>();
  const numbered = resources.map((resource, index) => ({ index, ...standalone(resource, index) }));
  for (const kind of ["cluster", "listener"] as const) {
    const all = numbered.filter((each) => each.kind === kind);
    for (let at = 0; at < all.length; at += PORTION) await judge(kind, all.slice(at, at + PORTION), known, found);
  }
  return found;
}

interface Numbered {
  readonly index: number;
  readonly kind: "cluster" | "listener";
  readonly any: ReturnType<typeof packAny>;
}

const nameOf = (index: number) => `zz${index}zz`;

function standalone({ type, bytes }: Served, index: number): Omit<Numbered, "index"> {
  const name = nameOf(index);
  switch (type) {
    case "cluster":
      return { kind: "cluster", any: packAny(Cluster, { ...Cluster.decode(bytes), name }) };
    case "endpoint": {
      const loadAssignment = { ...ClusterLoadAssignment.decode(bytes), clusterName: name };
      const cluster = Cluster.fromPartial({
        name,
        clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.STATIC },
        loadAssignment,
      });
      return { kind: "cluster", any: packAny(Cluster, cluster) };
    }
    case "listener":
      return { kind: "listener", any: packAny(Listener, placed(Listener.decode(bytes), index)) };
    case "route":
      return { kind: "listener", any: packAny(Listener, placed(around(RouteConfiguration.decode(bytes)), index)) };
  }
}

/** Nothing is listened on, yet addresses must differ. */
function placed(listener: Listener, index: number): Listener {
  const address = listener.address?.address;
  const own = address?.$case === "socketAddress" && /^\d+\.\d+\.\d+\.\d+$/.test(address.value.address);
  return {
    ...listener,
    name: nameOf(index),
    bindToPort: false,
    ...(own || address === undefined
      ? {
          address: {
            address: {
              $case: "socketAddress" as const,
              value: {
                ...(address?.$case === "socketAddress" ? address.value : ({} as never)),
                address: `127.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`,
                portSpecifier: { $case: "portValue" as const, value: 1000 },
              },
            },
          },
        }
      : {}),
  };
}

function around(routes: RouteConfiguration): Listener {
  const manager = HttpConnectionManager.fromPartial({
    statPrefix: "a",
    routeSpecifier: { $case: "routeConfig", value: routes },
    httpFilters: [
      {
        name: "envoy.filters.http.router",
        configType: { $case: "typedConfig", value: packAny(Router, Router.fromPartial({})) },
      },
    ],
  });
  return Listener.fromPartial({
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            configType: { $case: "typedConfig", value: packAny(HttpConnectionManager, manager) },
          },
        ],
      },
    ],
    address: {
      address: {
        $case: "socketAddress",
        value: { address: "127.0.0.1", portSpecifier: { $case: "portValue", value: 1 } },
      },
    },
  });
}

async function judge(
  kind: Numbered["kind"],
  resources: readonly Numbered[],
  known: readonly string[],
  found: Map<number, string>,
): Promise<void> {
  if (resources.length === 0) return;
  const refusal = await attempt(kind, resources, known);
  if (refusal === undefined) return;
  const [only] = resources;
  if (resources.length === 1 && only !== undefined) {
    found.set(only.index, refusal);
    return;
  }
  const named = [...new Set([...refusal.matchAll(/zz(\d+)zz/g)].map(([, number]) => Number(number)))];
  if (named.length > 0) {
    for (const index of named) {
      const from = refusal.indexOf(nameOf(index));
      const rest = refusal.slice(from);
      const next = rest.slice(6).search(/zz\d+zz: /);
      found.set(index, next < 0 ? rest.slice(0, 600) : rest.slice(0, Math.min(600, next + 6)));
    }
    // Some were named: what cannot be read at all is told for one only, and keeps all the others out.
    const left = resources.filter(({ index }) => !named.includes(index));
    if (left.length > 0) await judge(kind, left, known, found);
    return;
  }
  const middle = resources.length >> 1;
  await judge(kind, resources.slice(0, middle), known, found);
  await judge(kind, resources.slice(middle), known, found);
}

/** What Envoy says to all of them together; undefined: it takes them. */
async function attempt(
  kind: Numbered["kind"],
  resources: readonly Numbered[],
  known: readonly string[],
): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "lateen-judge-"));
  const envoy = program("envoy");
  if (envoy.path === undefined) throw new Error(envoy.reason);
  try {
    const response = DiscoveryResponse.fromPartial({
      versionInfo: "1",
      typeUrl: resources[0]?.any.typeUrl ?? "",
      resources: resources.map(({ any }) => any),
    });
    await writeFile(join(folder, "resources.pb"), DiscoveryResponse.encode(response).finish());
    await writeFile(join(folder, "envoy.json"), JSON.stringify(bootstrap(kind, join(folder, "resources.pb"), known)));
    const argv = ["-c", join(folder, "envoy.json"), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"];
    const running = new Program("Envoy", [envoy.path, ...argv], process.env, "ignore");
    try {
      const prefix = kind === "cluster" ? "cluster_manager.cds" : "listener_manager.lds";
      const rejected = await eventually(
        "Envoy has judged",
        async () => {
          running.alive();
          const { body } = await read({ ...ADMIN, path: `/stats?filter=^${prefix}.update_` });
          const of = (name: string) => Number(new RegExp(`${name}: (\\d+)`).exec(body)?.[1] ?? "0");
          if (of("update_rejected") > 0) return "rejected";
          if (of("update_success") > 0) return "taken";
          throw new Error(body);
        },
        STARTED_MS,
      );
      if (rejected === "taken") return undefined;
      const at = running.output.indexOf("rejected:");
      return at < 0 ? running.output.slice(-3_000) : running.output.slice(at + 10);
    } finally {
      await running.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The clusters that sources of configuration name exist, and nobody is there. */
function bootstrap(kind: Numbered["kind"], path: string, known: readonly string[]): object {
  const source = { path_config_source: { path }, resource_api_version: "V3" };
  const nowhere = (name: string) => ({
    name,
    type: "STATIC",
    connect_timeout: "1s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: { cluster_name: name, endpoints: [] },
  });
  return {
    node: { id: "test", cluster: "test" },
    admin: { address: { socket_address: { address: ADMIN.host, port_value: ADMIN.port } } },
    // As in the bootstraps that proxies of the mesh get.
    layered_runtime: {
      layers: [{ name: "static", static_layer: { "re2.max_program_size.error_level": 32_768 } }],
    },
    static_resources: { clusters: ["sds-grpc", "xds-grpc", ...known].map(nowhere) },
    dynamic_resources: {
      ads_config: {
        api_type: "DELTA_GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }],
      },
      ...(kind === "cluster" ? { cds_config: source } : { lds_config: source }),
    },
  };
}
