/** One bootstrap in Envoy's own language, given to Envoy and to the sidecar alike: whatever a case asks of one, it asks of both. */

const type = (/** @type {string} */ name, fields = {}) => ({ "@type": `type.googleapis.com/${name}`, ...fields });
const address = (/** @type {number} */ port) => ({ socket_address: { address: "127.0.0.1", port_value: port } });

/**
 * @typedef {object} Shape What a proxy is asked to do.
 * @property {"http1" | "http2" | "tcp"} protocol
 * @property {boolean} [tlsDown] TLS towards the client, whose certificate is checked when it shows one
 * @property {boolean} [tlsUp] TLS with a client certificate towards the backend, whose certificate is checked
 * @property {number} [virtualHosts] host names, a route each; without it one route for all
 * @property {number} [policies] RBAC policies that every request passes
 * @property {string} [accessLog] file for Envoy's default text line
 */

/** Host names of a case; the load asks for the one in the middle. @param {number} index */
export const hostName = (index) => `service-${index}.default.svc.cluster.local`;

/** @param {Shape} shape @param {{ port: number, admin: number, backend: number, certificates: import("./certificates.mjs").Certificates }} at */
export function envoyConfig(shape, at) {
  return {
    node: { id: "bench", cluster: "bench" },
    admin: { address: address(at.admin) },
    static_resources: { listeners: [listener(shape, at)], clusters: [cluster(shape, at)] },
  };
}

function listener(shape, at) {
  const chain = {
    filters: [shape.protocol === "tcp" ? tcpProxy() : connectionManager(shape)],
    ...(shape.tlsDown ? { transport_socket: downstreamTls(shape, at.certificates) } : {}),
  };
  return { name: "bench", address: address(at.port), filter_chains: [chain] };
}

const tcpProxy = () => ({
  name: "envoy.filters.network.tcp_proxy",
  typed_config: type("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
    stat_prefix: "bench",
    cluster: "backend",
  }),
});

function connectionManager(shape) {
  const router = {
    name: "envoy.filters.http.router",
    typed_config: type("envoy.extensions.filters.http.router.v3.Router"),
  };
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: type("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
      stat_prefix: "bench",
      http_filters: shape.policies ? [rbac(shape.policies), router] : [router],
      route_config: { name: "bench", virtual_hosts: virtualHosts(shape.virtualHosts) },
      ...(shape.accessLog === undefined ? {} : { access_log: [accessLog(shape.accessLog)] }),
    }),
  };
}

function virtualHosts(count = 0) {
  const routes = [{ match: { prefix: "/" }, route: { cluster: "backend" } }];
  if (count === 0) return [{ name: "all", domains: ["*"], routes }];
  return Array.from({ length: count }, (_, index) => ({
    name: hostName(index),
    domains: [hostName(index), `${hostName(index)}:80`, `service-${index}.default`, `service-${index}`],
    routes,
  }));
}

/** Policies that do not match this request stand before the one that does. */
function rbac(count) {
  const policy = (/** @type {string} */ path) => ({
    permissions: [
      {
        and_rules: {
          rules: [
            { header: { name: ":method", string_match: { exact: "GET" } } },
            { url_path: { path: { prefix: path } } },
          ],
        },
      },
    ],
    principals: [{ any: true }],
  });
  const policies = Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `p${index}`,
      policy(index === count - 1 ? "/api/" : `/private/${index}/`),
    ]),
  );
  return {
    name: "envoy.filters.http.rbac",
    typed_config: type("envoy.extensions.filters.http.rbac.v3.RBAC", { rules: { action: "ALLOW", policies } }),
  };
}

const accessLog = (/** @type {string} */ path) => ({
  name: "envoy.access_loggers.file",
  typed_config: type("envoy.extensions.access_loggers.file.v3.FileAccessLog", { path }),
});

function commonTls(certificates, alpn) {
  return {
    ...(alpn === undefined ? {} : { alpn_protocols: [alpn] }),
    // Envoy's own default as a client ends at 1.2.
    tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
    tls_certificates: [
      { certificate_chain: { filename: certificates.certificate }, private_key: { filename: certificates.key } },
    ],
    validation_context: { trusted_ca: { filename: certificates.root } },
  };
}

function downstreamTls(shape, certificates) {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: type("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
      common_tls_context: commonTls(certificates, shape.protocol === "http2" ? "h2" : "http/1.1"),
    }),
  };
}

function cluster(shape, at) {
  const protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return {
    name: "backend",
    type: "STATIC",
    connect_timeout: "5s",
    // Envoy's default of 1,024 is below what a case may open.
    circuit_breakers: { thresholds: [{ max_connections: 20_000, max_pending_requests: 20_000, max_requests: 20_000 }] },
    ...(shape.protocol === "http2"
      ? {
          typed_extension_protocol_options: {
            [protocol]: type(protocol, { explicit_http_config: { http2_protocol_options: {} } }),
          },
        }
      : {}),
    ...(shape.tlsUp ? { transport_socket: upstreamTls(at.certificates) } : {}),
    load_assignment: {
      cluster_name: "backend",
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(at.backend) } }] }],
    },
  };
}

const upstreamTls = (/** @type {import("./certificates.mjs").Certificates} */ certificates) => ({
  name: "envoy.transport_sockets.tls",
  typed_config: type("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    common_tls_context: commonTls(certificates, undefined),
    sni: "localhost",
  }),
});
