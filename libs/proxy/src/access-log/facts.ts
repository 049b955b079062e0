import type { WorkloadFacts } from "../config/plan.ts";
import type { HeaderName } from "../http1/header-name.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import type { LineBuffer } from "./line-buffer.ts";

/** What is known of a finished connection or request; unknown texts are empty, unknown numbers undefined. */
export interface ConnectionLogFacts {
  readonly info: ConnectionInfo;
  readonly direction: "inbound" | "outbound" | "unspecified";
  /** Epoch milliseconds. */
  readonly startTimeMs: number;
  readonly durationMs: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Response flags joined with `,`; empty for none. */
  readonly flags: string;
  /** CONNECTION_TERMINATION_DETAILS. */
  readonly terminationDetails: string;
  /** Cluster asked for, also when there is no such cluster. */
  readonly upstreamCluster: string;
  /** `ip:port`. */
  readonly upstreamHost: string;
  /** `ip:port` this proxy connected from. */
  readonly upstreamLocalAddress: string;
  /** UPSTREAM_TRANSPORT_FAILURE_REASON. */
  readonly upstreamFailure: string;
  readonly source: WorkloadFacts | undefined;
  readonly destination: WorkloadFacts | undefined;
  /** Principal of the mesh peer at the other end of the mTLS hop. */
  readonly peerPrincipal: string;
  readonly destinationService: string;
  /** Only requests have it. */
  readonly request?: RequestLogFacts;
}

/** As access logs spell it. */
export type HttpProtocol = "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";

/** What a finished request has beyond its connection. Header texts are latin1: one character a byte. */
export interface RequestLogFacts {
  readonly protocol: HttpProtocol;
  readonly status: number;
  readonly details: string;
  readonly routeName: string;
  readonly requestId: string;
  /** `grpc-status` of the response; -1 or absent: there is none. */
  readonly grpcStatus?: number;
  /** Heads, bodies and trailers as they were on the downstream connection; absent: not known. */
  readonly totalRequestBytes?: number;
  readonly totalResponseBytes?: number;
  /** Client address after X-Forwarded-For trust. */
  readonly remoteAddress: string;
  readonly attempts: number;
  /** Milliseconds from start until the request was read, the response began to arrive. */
  readonly requestDurationMs: number | undefined;
  readonly responseDurationMs: number | undefined;
  /** Lower-case names; `:method`, `:path`, `:authority`, `:scheme` too. */
  requestHeader(name: string): string | undefined;
  /** Writes the value of a request header as {@link requestHeader} would answer it; false: there is none. */
  putRequestHeader?(name: HeaderName, out: LineBuffer): boolean;
  responseHeader(name: string): string | undefined;
  responseTrailer(name: string): string | undefined;
}
