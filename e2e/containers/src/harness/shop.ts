import type { ApiObject } from "./cluster.ts";
import { APPLICATION } from "./images.ts";
import type { Template } from "./mesh.ts";

/** Requests of one window that the shared limit lets through. */
export const LIMIT = 3;
const NAMESPACE = "shop";

const object = (apiVersion: string, kind: string, name: string, spec: object, namespace = NAMESPACE): ApiObject => ({
  ...{ apiVersion, kind, metadata: { name, namespace } },
  ...(kind === "ConfigMap" ? { data: spec } : { spec }),
});

/** An application that listens on this port; its pods are to be injected. @param settle seconds before it is told to end. Default: none. */
export function application(name: string, port: number, settle = 0): Template {
  return {
    metadata: { namespace: NAMESPACE, labels: { app: name, version: "v1" } },
    spec: {
      serviceAccountName: name,
      securityContext: { runAsUser: 1000, runAsGroup: 1000 },
      containers: [
        {
          ...{ name: "app", image: APPLICATION, ports: [{ name: "http", containerPort: port }] },
          env: [
            { name: "NAME", value: name },
            { name: "PORT", value: String(port) },
          ],
          readinessProbe: { httpGet: { path: "/", port } },
          ...(settle === 0 ? {} : { lifecycle: { preStop: { sleep: { seconds: settle } } } }),
        },
      ],
    },
  };
}

const service = (name: string, targetPort: number): ApiObject =>
  object("v1", "Service", name, { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort }] });

/** Where requests for `web` go, with a header that says which version of the rule it was. */
export function rule(version: string): ApiObject {
  const headers = { response: { set: { "x-rule": version } } };
  const route = [{ destination: { host: "web" }, headers }];
  return object("networking.istio.io/v1", "VirtualService", "web", {
    hosts: ["web", "shop.example"],
    gateways: ["mesh", "edge"],
    http: [{ route }],
  });
}

/** Two services under STRICT, one of them at the edge, and a limit that is the same wherever it is asked for. */
export function shop(): readonly ApiObject[] {
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE, labels: { "istio-injection": "enabled" } } },
    service("web", 8080),
    service("client", 8081),
    object("security.istio.io/v1", "PeerAuthentication", "strict", { mtls: { mode: "STRICT" } }),
    object("networking.istio.io/v1", "Gateway", "edge", {
      selector: { istio: "ingressgateway" },
      servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["shop.example"] }],
    }),
    rule("1"),
    ...limit(),
  ];
}

function limit(): readonly ApiObject[] {
  const mixer = "istio-mixer.istio-system.svc.cluster.local";
  const config = `domain: ratelimit
descriptors:
  - key: PATH
    value: /limited
    rate_limit: { unit: hour, requests_per_unit: ${LIMIT}, algorithm: ROLLING_WINDOW }
`;
  const filter = {
    name: "envoy.filters.http.ratelimit",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
      domain: "ratelimit",
      failure_mode_deny: false,
      // What takes long on a busy machine shall not be what decides; the time that mixer gives Redis is the installed one.
      timeout: "20s",
      // By them one can tell what was decided from what was let through.
      enable_x_ratelimit_headers: "DRAFT_VERSION_03",
      rate_limit_service: {
        grpc_service: { envoy_grpc: { cluster_name: `outbound|9091||${mixer}`, authority: mixer } },
        transport_api_version: "V3",
      },
    },
  };
  const actions = [{ request_headers: { header_name: ":path", descriptor_key: "PATH" } }];
  return [
    object("v1", "ConfigMap", "ratelimit-config", { "config.yaml": config }, "istio-system"),
    object(
      "networking.istio.io/v1",
      "DestinationRule",
      "istio-mixer",
      { host: mixer, trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } } },
      "istio-system",
    ),
    object(
      "networking.istio.io/v1alpha3",
      "EnvoyFilter",
      "limits",
      {
        workloadSelector: { labels: { istio: "ingressgateway" } },
        configPatches: [
          {
            applyTo: "HTTP_FILTER",
            match: {
              context: "GATEWAY",
              listener: {
                filterChain: {
                  filter: {
                    name: "envoy.filters.network.http_connection_manager",
                    subFilter: { name: "envoy.filters.http.router" },
                  },
                },
              },
            },
            patch: { operation: "INSERT_BEFORE", value: filter },
          },
          {
            applyTo: "VIRTUAL_HOST",
            match: { context: "GATEWAY" },
            patch: { operation: "MERGE", value: { rate_limits: [{ actions }] } },
          },
        ],
      },
      "istio-system",
    ),
  ];
}
