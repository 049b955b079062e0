/**
 * Why the proxy did not carry a connection:
 * `noChain` no filter chain takes it · `handshake` TLS with the client failed · `policy` a network filter refused it ·
 * `upstream` no upstream could be had, or it broke off · `timeout` it was idle, or older than it may be.
 */
export type BrokenKind = "noChain" | "handshake" | "policy" | "upstream" | "timeout";

/**
 * What decided about connections that one proxy refused or broke: plain data, without a byte of what they carried. Connections of one
 * client to one place that end for the same reason are one record, of the latest of them.
 */
export interface ConnectionRecord {
  /** CONNECTION_ID. */
  readonly connectionId: number;
  /** Ids of those before it that the record stands for, the latest first; not all when there were many. */
  readonly earlierIds: readonly number[];
  /** How many connections the record stands for. */
  readonly times: number;
  /** Epoch milliseconds. */
  readonly startTimeMs: number;
  readonly durationMs: number;
  readonly kind: BrokenKind;
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly listener: string;
  /** Empty: none, or one without a name. */
  readonly chain: string;
  /** Response flags joined with `,`. */
  readonly flags: string;
  /** CONNECTION_TERMINATION_DETAILS. */
  readonly details: string;
  /** What decided: a policy, or the object that says what the listener takes. */
  readonly because?: string;
  /** Rules of which one had to apply, and none did. */
  readonly candidates?: readonly string[];
  readonly client: { readonly address: string; readonly port: number; readonly principal?: string };
  /** `ip:port` that the connection was headed for. */
  readonly destination: string;
  /** What the client offered, as far as anybody looked. */
  readonly offered: { readonly tls: boolean; readonly serverName: string; readonly protocols: readonly string[] };
  /** What the chains for this port take; only where none took the connection. */
  readonly wanted?: readonly WantedConnection[];
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly upstream?: UpstreamRecord;
}

/** What a filter chain takes. */
export interface WantedConnection {
  /** `tls`, `raw_buffer`; empty: both. */
  readonly transport: string;
  /** Empty: any. */
  readonly serverNames: readonly string[];
}

/** The upstream side of a connection of bytes. */
export interface UpstreamRecord {
  readonly cluster: string;
  /** Object that shapes the cluster, as the control plane notes it. */
  readonly origin?: string;
  /** False: there is no such cluster. */
  readonly exists: boolean;
  readonly endpoints: number;
  /** Endpoints that outlier detection holds back. */
  readonly ejected: number;
  readonly attempts: number;
  /** `ip:port` of the latest attempt. */
  readonly endpoint?: string;
  /** `namespace/workload` behind it, when known. */
  readonly workload?: string;
  readonly tls: boolean;
  /** How the latest attempt failed: `connectFailure`, `connectTimeout`, `tlsFailure`. */
  readonly outcome?: string;
  /** What TLS or the network said of it. */
  readonly failure?: string;
  /** Limits that may have decided. */
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
}
