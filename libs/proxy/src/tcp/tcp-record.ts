import type { WorkloadFacts } from "../config/plan.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";

/** One finished TCP connection, for the access log. */
export interface TcpRecord {
  readonly info: ConnectionInfo;
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly startTimeMs: number;
  readonly durationMs: number;
  /** From the client. */
  readonly bytesReceived: number;
  /** To the client. */
  readonly bytesSent: number;
  /** `UF,URX` …; empty for none. */
  readonly flags: string;
  /** CONNECTION_TERMINATION_DETAILS, or empty. */
  readonly terminationDetails: string;
  readonly upstreamCluster: string;
  /** `ip:port` or empty. */
  readonly upstreamHost: string;
  readonly upstreamLocalAddress: string;
  /** UPSTREAM_TRANSPORT_FAILURE_REASON, or empty. */
  readonly upstreamFailure: string;
  readonly source: WorkloadFacts | undefined;
  readonly destination: WorkloadFacts | undefined;
  /** Principal of the mesh peer at the other end of the mTLS hop, or empty. */
  readonly peerPrincipal: string;
  readonly destinationService: string;
}
