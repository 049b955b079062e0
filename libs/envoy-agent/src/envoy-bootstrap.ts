import { nodeDocument, type StockNode } from "./node.ts";

/** How a stock Envoy reaches the control plane. */
export type Discovery =
  | {
      readonly kind: "agent";
      /** Socket on which the agent relays ADS. */
      readonly socket: string;
    }
  | {
      readonly kind: "tls";
      readonly address: string;
      readonly port: number;
      /** Name in the control plane's certificate, e.g. `istiod.istio-system.svc`. */
      readonly serverName: string;
      readonly rootCertFile: string;
      /** How the workload proves who it is: its certificate, or its projected token. */
      readonly identity:
        | { readonly certFile: string; readonly keyFile: string }
        | {
            readonly token: string;
          };
    };

export interface EnvoyBootstrapOptions {
  readonly node: StockNode;
  readonly discovery: Discovery;
  /** Socket on which the agent serves the secrets `default` and `ROOTCA`. */
  readonly secretsSocket: string;
  /** Default state of the world; Istio's agents ask for `DELTA_GRPC`. */
  readonly protocol?: "GRPC" | "DELTA_GRPC";
  /** Where a control plane of ours binds what Istio binds at every address; default: at every address. */
  readonly bindAddress?: string;
  readonly admin: { readonly address: string; readonly port: number };
  /** Statistics to keep besides those of Envoy itself, by how their names begin, end, or read; default: all. */
  readonly statistics?: {
    readonly inclusionPrefixes?: readonly string[];
    readonly inclusionSuffixes?: readonly string[];
    readonly inclusionRegexps?: readonly string[];
  };
  /** Feature flags of Envoy, by name. */
  readonly runtimeValues?: Readonly<Record<string, string>>;
  /** Where `/stats/prometheus` and `/healthz/ready` are served; left out: not at all. */
  readonly faces?: { readonly address: string; readonly statsPort: number; readonly healthPort: number };
}

/**
 * A bootstrap for an unmodified Envoy: node, ADS under Istio's cluster name `xds-grpc`, the agent's secrets under `sds-grpc`. It holds
 * no private key; with a token as identity it is as secret as the token.
 */
export function envoyBootstrap(options: EnvoyBootstrapOptions): Readonly<Record<string, unknown>> {
  const source = { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" };
  return {
    node: nodeDocument(
      options.node,
      options.bindAddress === undefined ? {} : { LATEEN_BIND_ADDRESS: options.bindAddress },
    ),
    admin: { address: socketAddress(options.admin.address, options.admin.port) },
    layered_runtime: {
      // As Istio's bootstrap: rules may have long regular expressions.
      layers: [
        { name: "static", static_layer: { "re2.max_program_size.error_level": 32_768, ...options.runtimeValues } },
      ],
    },
    ...(options.statistics === undefined ? {} : { stats_config: { stats_matcher: kept(options.statistics) } }),
    dynamic_resources: {
      cds_config: source,
      lds_config: source,
      ads_config: {
        api_type: options.protocol ?? "GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" }, ...initialMetadata(options.discovery) }],
      },
    },
    static_resources: {
      clusters: [
        discoveryCluster(options.discovery),
        staticCluster("sds-grpc", { pipe: { path: options.secretsSocket } }, HTTP2),
        ...(options.faces === undefined
          ? []
          : [staticCluster("prometheus_stats", socketAddress(options.admin.address, options.admin.port))]),
      ],
      listeners: options.faces === undefined ? [] : faces(options.faces),
    },
  };
}

/** What Istio's agents keep in any case: readiness and the state of discovery are read from it. */
const ALWAYS_KEPT = ["cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm"];

function kept({
  inclusionPrefixes = [],
  inclusionSuffixes = [],
  inclusionRegexps = [],
}: NonNullable<EnvoyBootstrapOptions["statistics"]>) {
  const patterns = [
    ...[...ALWAYS_KEPT, ...inclusionPrefixes].map((prefix) => ({ prefix })),
    ...inclusionSuffixes.map((suffix) => ({ suffix })),
    ...inclusionRegexps.map((regex) => ({ safe_regex: { regex } })),
  ];
  return { inclusion_list: { patterns } };
}

const HTTP2 = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

function socketAddress(address: string, port: number) {
  return { socket_address: { address, port_value: port } };
}

function staticCluster(name: string, address: object, more: object = {}) {
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    ...more,
  };
}

function discoveryCluster(discovery: Discovery) {
  const keepalive = { upstream_connection_options: { tcp_keepalive: { keepalive_time: 300 } } };
  if (discovery.kind === "agent") return staticCluster("xds-grpc", { pipe: { path: discovery.socket } }, HTTP2);
  const { identity, serverName } = discovery;
  const file = (filename: string) => ({ filename });
  return staticCluster("xds-grpc", socketAddress(discovery.address, discovery.port), {
    ...HTTP2,
    ...keepalive,
    transport_socket: {
      name: "envoy.transport_sockets.tls",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni: serverName,
        common_tls_context: {
          // By itself Envoy stops at 1.2.
          tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
          alpn_protocols: ["h2"],
          ...("token" in identity
            ? {}
            : {
                tls_certificates: [{ certificate_chain: file(identity.certFile), private_key: file(identity.keyFile) }],
              }),
          validation_context: {
            trusted_ca: file(discovery.rootCertFile),
            match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: serverName } }],
          },
        },
      },
    },
  });
}

function initialMetadata(discovery: Discovery): object {
  if (discovery.kind !== "tls" || !("token" in discovery.identity)) return {};
  return { initial_metadata: [{ key: "authorization", value: `Bearer ${discovery.identity.token}` }] };
}

function faces({ address, statsPort, healthPort }: NonNullable<EnvoyBootstrapOptions["faces"]>) {
  return [
    face("prometheus", address, statsPort, "/stats/prometheus", "/stats/prometheus"),
    face("health", address, healthPort, "/healthz/ready", "/ready"),
  ];
}

/** One path of the admin interface on a port of its own. */
function face(name: string, address: string, port: number, path: string, target: string) {
  const type = "type.googleapis.com/envoy.extensions.filters";
  const routes = [{ match: { path }, route: { cluster: "prometheus_stats", prefix_rewrite: target } }];
  const router = { name: "envoy.filters.http.router", typed_config: { "@type": `${type}.http.router.v3.Router` } };
  return {
    name,
    address: socketAddress(address, port),
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type": `${type}.network.http_connection_manager.v3.HttpConnectionManager`,
              stat_prefix: name,
              route_config: { virtual_hosts: [{ name, domains: ["*"], routes }] },
              http_filters: [router],
            },
          },
        ],
      },
    ],
  };
}
