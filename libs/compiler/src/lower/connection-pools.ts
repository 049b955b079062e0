import { durationFromMs, packAny } from "@lateen/proto";
import type { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import { http1Options } from "./header-case.ts";
import { milliseconds, type PolicyBlocks } from "./traffic-policy.ts";

export const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** Circuit breakers of Envoy cannot be off, only out of reach. */
export const NO_LIMIT = 4_294_967_295;
/** Retry budget where it is not written: share of active requests, and what is always allowed. */
const RETRY_PERCENT = 20;
const MIN_RETRIES = 3;

/** Limits and keep-alive of a cluster's connections. */
export function poolFields(
  policy: PolicyBlocks,
  mesh?: NonNullable<NonNullable<PolicyBlocks["connectionPool"]>["tcp"]>["tcpKeepalive"],
): Parameters<typeof Cluster.fromPartial>[0] {
  const { tcp, http } = policy.connectionPool ?? {};
  const keepalive = tcp?.tcpKeepalive ?? mesh;
  return {
    circuitBreakers: {
      thresholds: [
        {
          maxConnections: tcp?.maxConnections ?? NO_LIMIT,
          maxPendingRequests: http?.http1MaxPendingRequests ?? NO_LIMIT,
          maxRequests: http?.http2MaxRequests ?? NO_LIMIT,
          maxRetries: http?.maxRetries ?? NO_LIMIT,
          trackRemaining: true,
          ...(policy.retryBudget === undefined
            ? {}
            : {
                retryBudget: {
                  budgetPercent: { value: policy.retryBudget.percent ?? RETRY_PERCENT },
                  minRetryConcurrency: policy.retryBudget.minRetryConcurrency ?? MIN_RETRIES,
                },
              }),
        },
      ],
    },
    ...(keepalive === undefined
      ? {}
      : {
          upstreamConnectionOptions: {
            tcpKeepalive: {
              keepaliveProbes: keepalive.probes,
              keepaliveTime: seconds(keepalive.time),
              keepaliveInterval: seconds(keepalive.interval),
            },
          },
        }),
  };
}

function seconds(duration: string | undefined): number | undefined {
  return duration === undefined ? undefined : Math.round(milliseconds(duration) / 1000);
}

/** What HTTP connections of any version have in common; empty without settings. */
export function commonOptions(pool: PolicyBlocks["connectionPool"]) {
  const { tcp, http } = pool ?? {};
  return {
    ...(http?.idleTimeout === undefined ? {} : { idleTimeout: durationFromMs(milliseconds(http.idleTimeout)) }),
    ...(http?.maxRequestsPerConnection ? { maxRequestsPerConnection: http.maxRequestsPerConnection } : {}),
    ...(tcp?.maxConnectionDuration === undefined
      ? {}
      : { maxConnectionDuration: durationFromMs(milliseconds(tcp.maxConnectionDuration)) }),
  };
}

/** How long an HTTP/2 server may take to answer a PING where the rule does not say it. */
const PING_TIMEOUT_MS = 10_000;

/** What HTTP/2 connections have beyond that. */
export function http2Options(pool: PolicyBlocks["connectionPool"]) {
  const { maxConcurrentStreams: streams, http2KeepAlive: keepAlive } = pool?.http ?? {};
  return {
    ...(streams ? { maxConcurrentStreams: streams } : {}),
    ...(keepAlive?.interval === undefined
      ? {}
      : {
          connectionKeepalive: {
            interval: durationFromMs(milliseconds(keepAlive.interval)),
            timeout: durationFromMs(
              keepAlive.timeout === undefined ? PING_TIMEOUT_MS : milliseconds(keepAlive.timeout),
            ),
          },
        }),
  };
}

/** HTTP towards whatever the client takes it for: applications behind their own proxy, destinations nobody declared. */
export function downstreamOptions(
  pool: PolicyBlocks["connectionPool"],
  preserveCase: boolean,
): Cluster["typedExtensionProtocolOptions"] {
  const common = commonOptions(pool);
  const options = HttpProtocolOptions.fromPartial({
    ...(Object.keys(common).length === 0 ? {} : { commonHttpProtocolOptions: common }),
    upstreamProtocolOptions: {
      $case: "useDownstreamProtocolConfig",
      value: { httpProtocolOptions: http1Options(preserveCase), http2ProtocolOptions: http2Options(pool) },
    },
  });
  return { [HTTP_OPTIONS]: packAny(HttpProtocolOptions, options) };
}
