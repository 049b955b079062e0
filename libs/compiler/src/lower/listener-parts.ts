import { durationFromMs, packAny } from "@lateen/proto";
import type { TrafficDirection, TransportSocket } from "@lateen/proto/envoy/config/core/v3/base";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import {
  type Filter,
  FilterChain,
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from "@lateen/proto/envoy/config/listener/v3/listener_components";
import { HttpInspector } from "@lateen/proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector";
import { OriginalDst } from "@lateen/proto/envoy/extensions/filters/listener/original_dst/v3/original_dst";
import { ProxyProtocol } from "@lateen/proto/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol";
import { TlsInspector } from "@lateen/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector";
import { listenerName } from "./names.ts";
import { cidr, socketAddress } from "./proto.ts";

/** When a filter chain is taken. Everything absent matches all. */
export interface ChainMatch {
  readonly port?: number;
  readonly prefixes?: readonly string[];
  readonly serverNames?: readonly string[];
  readonly transport?: "tls" | "raw_buffer";
  readonly alpn?: readonly string[];
}

/** A filter chain; without a match it takes what no other does. */
export function filterChain(options: {
  readonly name: string;
  readonly match?: ChainMatch;
  readonly filters: readonly Filter[];
  readonly socket?: TransportSocket | undefined;
}): FilterChain {
  const { match } = options;
  const empty = match === undefined || Object.keys(match).length === 0;
  return FilterChain.fromPartial({
    name: options.name,
    filters: [...options.filters],
    ...(options.socket === undefined ? {} : { transportSocket: options.socket }),
    ...(empty
      ? {}
      : {
          filterChainMatch: {
            ...(match.port === undefined ? {} : { destinationPort: match.port }),
            prefixRanges: (match.prefixes ?? []).map(cidr),
            serverNames: [...(match.serverNames ?? [])],
            transportProtocol: match.transport ?? "",
            applicationProtocols: [...(match.alpn ?? [])],
          },
        }),
  });
}

/** Recovers the address a captured connection was made to. */
export function originalDstFilter(): ListenerFilter {
  return listenerFilter("envoy.filters.listener.original_dst", packAny(OriginalDst, OriginalDst.fromPartial({})), []);
}
/** Takes the address of the client from the PROXY header that must come first. */
export function proxyProtocolFilter(): ListenerFilter {
  const value = packAny(ProxyProtocol, ProxyProtocol.fromPartial({}));
  return listenerFilter("envoy.filters.listener.proxy_protocol", value, []);
}
/** Looks whether a connection is TLS, its SNI and ALPN; not on `offPorts`. */
export function tlsInspector(offPorts: readonly number[] = []): ListenerFilter {
  return listenerFilter(
    "envoy.filters.listener.tls_inspector",
    packAny(TlsInspector, TlsInspector.fromPartial({})),
    offPorts,
  );
}
/** Looks whether plaintext is HTTP; not on `offPorts`. */
export function httpInspector(offPorts: readonly number[] = []): ListenerFilter {
  return listenerFilter(
    "envoy.filters.listener.http_inspector",
    packAny(HttpInspector, HttpInspector.fromPartial({})),
    offPorts,
  );
}

function listenerFilter(name: string, value: ReturnType<typeof packAny>, offPorts: readonly number[]): ListenerFilter {
  const disabled = disabledOn(offPorts);
  return ListenerFilter.fromPartial({
    name,
    configType: { $case: "typedConfig", value },
    ...(disabled === undefined ? {} : { filterDisabled: disabled }),
  });
}

function disabledOn(ports: readonly number[]): ListenerFilterChainMatchPredicate | undefined {
  const rules = ports.map((port) =>
    ListenerFilterChainMatchPredicate.fromPartial({
      rule: { $case: "destinationPortRange", value: { start: port, end: port + 1 } },
    }),
  );
  if (rules.length <= 1) return rules[0];
  return ListenerFilterChainMatchPredicate.fromPartial({ rule: { $case: "orMatch", value: { rules } } });
}

/** What decides on a listener. */
export interface ListenerOptions {
  /** Default `<address>_<port>`. */
  readonly name?: string;
  readonly address: string;
  readonly port: number;
  readonly direction: TrafficDirection;
  readonly bind: boolean;
  readonly useOriginalDst?: boolean;
  readonly filters: readonly ListenerFilter[];
  readonly chains: readonly FilterChain[];
  readonly fallback?: FilterChain | undefined;
  /** Inspection: how long bytes are waited for; 0 = for ever. */
  readonly detectionTimeoutMs: number;
  /** Objects that demand mutual TLS, by destination port, and under the empty name for all others. */
  readonly demandedBy?: Readonly<Record<string, string>> | undefined;
}

/** A listener. Without inspectors it does not wait for bytes. */
export function listener(options: ListenerOptions): Listener {
  const inspects = options.filters.some((filter) => filter.name.endsWith("_inspector"));
  return Listener.fromPartial({
    name: options.name ?? listenerName(options.address, options.port),
    address: socketAddress(options.address, options.port),
    trafficDirection: options.direction,
    ...(options.bind ? {} : { bindToPort: false }),
    ...(options.useOriginalDst ? { useOriginalDst: true } : {}),
    listenerFilters: [...options.filters],
    filterChains: [...options.chains],
    ...(options.fallback === undefined ? {} : { defaultFilterChain: options.fallback }),
    ...(Object.keys(options.demandedBy ?? {}).length === 0
      ? {}
      : { metadata: { filterMetadata: { lateen: { mtls: { ...options.demandedBy } } } } }),
    ...(inspects
      ? {
          listenerFiltersTimeout: durationFromMs(options.detectionTimeoutMs),
          continueOnListenerFiltersTimeout: true,
        }
      : {}),
  });
}
