import { TrafficDirection } from "@lateen/proto/envoy/config/core/v3/base";
import type { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import type { Filter } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import { type AccessLogs, accessLogs, type ObservedConfig } from "./access-log.ts";
import { tcpProxy } from "./filters.ts";
import { filterChain, listener, originalDstFilter } from "./listener-parts.ts";
import { BLACK_HOLE_CLUSTER, OUTBOUND_PORT, VIRTUAL_OUTBOUND, WILDCARD } from "./names.ts";

/** Where what nobody knows goes: on, or into the black hole. */
export function catchAllProxy(fallback: string | undefined, logs: AccessLogs): Filter {
  return tcpProxy({ clusters: [{ name: fallback ?? BLACK_HOLE_CLUSTER, weight: 1 }] }, logs.tcp);
}

/** The listener that all outbound connections arrive at; what no other listener takes goes on, or into the black hole. */
export function virtualOutbound(config: ObservedConfig, fallback: string | undefined): Listener {
  const logs = accessLogs(config);
  return listener({
    name: VIRTUAL_OUTBOUND,
    address: WILDCARD,
    port: OUTBOUND_PORT,
    direction: TrafficDirection.OUTBOUND,
    bind: true,
    useOriginalDst: true,
    filters: [originalDstFilter()],
    chains: [
      filterChain({
        name: "virtualOutbound-blackhole",
        match: { port: OUTBOUND_PORT },
        filters: [catchAllProxy(undefined, logs)],
      }),
      filterChain({ name: "virtualOutbound-catchall-tcp", filters: [catchAllProxy(fallback, logs)] }),
    ],
    detectionTimeoutMs: 0,
  });
}
