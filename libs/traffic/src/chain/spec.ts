/** @see envoy.config.listener.v3.FilterChainMatch. Empty lists and undefined match anything. */
export interface FilterChainMatchSpec {
  readonly destinationPort: number | undefined;
  /** CIDRs, `10.0.0.1/32`. */
  readonly destinationPrefixes: readonly string[];
  readonly sourcePrefixes: readonly string[];
  /** Exact or `*.suffix`, lower case. */
  readonly serverNames: readonly string[];
  /** `tls`, `raw_buffer`, or empty for any. */
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
}

/** What is known about a connection when its chain is chosen. */
export interface ConnectionFacts {
  readonly destinationAddress: string;
  readonly destinationPort: number;
  readonly sourceAddress: string;
  /** Lower case; empty when the client sent none or the bytes are not TLS. */
  readonly serverName: string;
  readonly transportProtocol: "tls" | "raw_buffer";
  /** From TLS ALPN, or `http/1.1`, `http/1.0`, `h2c` by inspection. */
  readonly applicationProtocols: readonly string[];
}
