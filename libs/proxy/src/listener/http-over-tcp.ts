import { NO_HEADER_EDITS, type RouteTableSpec } from "@lateen/traffic";
import type { HttpConnectionManagerSpec, TcpProxySpec } from "../config/plan.ts";

/**
 * What a client of the explicit proxy needs to reach a destination that the mesh only forwards bytes to: its requests are carried
 * as they are to the same clusters, without retries or generated headers.
 * @param filters names of filters that make metrics: they are as those of the connections would be.
 */
export function httpOverTcp(spec: TcpProxySpec, filters: readonly string[]): HttpConnectionManagerSpec {
  return {
    kind: "http",
    statPrefix: spec.statPrefix,
    routes: { inline: routes(spec) },
    httpFilters: filters.map((name) => ({ name, config: spec.metrics ?? {} })),
    serverName: "",
    serverHeader: "passThrough",
    useRemoteAddress: false,
    xffTrustedHops: 0,
    forwardClientCert: "alwaysForwardOnly",
    setClientCertDetails: { subject: false, uri: false, dns: false, cert: false },
    streamIdleTimeoutMs: spec.idleTimeoutMs,
    requestTimeoutMs: 0,
    idleTimeoutMs: spec.idleTimeoutMs,
    drainTimeoutMs: 5000,
    normalizePath: false,
    mergeSlashes: false,
    escapedSlashes: "keep",
    acceptHttp10: true,
    customMethods: true,
    generateRequestId: false,
    preserveExternalRequestId: true,
    alwaysSetRequestIdInResponse: false,
    stripPortMode: "none",
    upgrades: ["websocket"],
    accessLogs: spec.accessLogs,
  };
}

function routes(spec: TcpProxySpec): RouteTableSpec {
  const edits = { requestHeaders: NO_HEADER_EDITS, responseHeaders: NO_HEADER_EDITS };
  return {
    name: "",
    ignorePortInHostMatching: false,
    maxDirectResponseBytes: 4096,
    ...edits,
    virtualHosts: [
      {
        name: "any",
        domains: ["*"],
        includeAttemptCount: false,
        requireTls: false,
        filterConfig: {},
        ...edits,
        routes: [
          {
            name: "any",
            match: { path: { kind: "prefix", value: "", ignoreCase: false }, headers: [], query: [], fraction: 1 },
            action: {
              kind: "forward",
              clusters: spec.clusters.map(({ cluster, weight }) => ({
                cluster,
                weight,
                hostRewrite: undefined,
                ...edits,
              })),
              timeoutMs: 0,
              idleTimeoutMs: undefined,
              retry: undefined,
              rewrite: { prefix: undefined, regex: undefined, host: undefined },
              mirrors: [],
              upgrades: ["websocket"],
              clusterNotFoundStatus: 503,
            },
            filterConfig: {},
            origin: undefined,
            decorator: undefined,
            ...edits,
          },
        ],
      },
    ],
  };
}
