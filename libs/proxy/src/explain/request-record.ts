import type { HttpProtocol } from "../access-log/facts.ts";

/**
 * What decided about one request at one proxy: plain data, kept for whoever asks why it went as it went. Texts of clients are cut;
 * queries, headers and bodies are not kept, because they may carry secrets.
 */
export interface RequestRecord {
  /** Empty: it was refused before it had one. */
  readonly requestId: string;
  /** Epoch milliseconds. */
  readonly startTimeMs: number;
  readonly durationMs: number;
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly listener: string;
  readonly chain: string;
  readonly protocol: HttpProtocol;
  readonly method: string;
  readonly authority: string;
  /** Without its query. */
  readonly path: string;
  /** What the client got; 0: nothing. */
  readonly status: number;
  /** -1: the response has none. */
  readonly grpcStatus: number;
  /** Response flags joined with `,`. */
  readonly flags: string;
  /** RESPONSE_CODE_DETAILS. */
  readonly details: string;
  readonly answeredBy: "proxy" | "upstream" | "nobody";
  /** What the filter that answered named: a policy, a service it asked, an object and rule. */
  readonly because?: string;
  /** Rules of which one had to apply, and none did. */
  readonly candidates?: readonly string[];
  /** Policies that filters looked at without enforcing them, such as those that hand a request to an external authorizer. */
  readonly shadowPolicies?: readonly string[];
  readonly client: {
    /** After X-Forwarded-For trust. */
    readonly address: string;
    /** Identity of its verified certificate. */
    readonly principal?: string;
  };
  /** `ip:port` that the connection was headed for. */
  readonly destination: string;
  /** Undefined: the table has not arrived. */
  readonly routeTable?: string;
  /** Undefined: none serves the authority. */
  readonly virtualHost?: string;
  readonly route?: { readonly name: string; readonly origin?: string };
  readonly forward?: ForwardRecord;
}

/** The upstream side of a request that a route sends on. */
export interface ForwardRecord {
  readonly cluster: string;
  /** Object that shapes the cluster, as the control plane notes it. */
  readonly origin?: string;
  /** False: there is no such cluster. */
  readonly exists: boolean;
  readonly endpoints: number;
  /** Endpoints that outlier detection holds back. */
  readonly ejected: number;
  /** Milliseconds; 0 = none. */
  readonly timeoutMs: number;
  readonly perTryTimeoutMs: number;
  readonly retries: number;
  readonly attempts: number;
  /** `ip:port` of the latest attempt. */
  readonly endpoint?: string;
  /** `namespace/workload` behind it, when known. */
  readonly workload?: string;
  readonly tls: "none" | "tls" | "mutual";
  /** Identity that its certificate proved. */
  readonly principal?: string;
  /** Why earlier attempts, and the last one when it failed, came to nothing; in order. */
  readonly failures: readonly AttemptFailure[];
  /** What TLS or the network said of the last failure. */
  readonly transportFailure?: string;
}

/** One attempt that came to nothing. */
export interface AttemptFailure {
  readonly endpoint: string;
  /** `connectFailure`, `perTryTimeout`, `overflow` … or `status 503` for a response that was not passed on. */
  readonly outcome: string;
  /** More of it; for an overflow, the circuit breaker and its limit. */
  readonly detail: string;
  /** Milliseconds after the request began. */
  readonly atMs: number;
}
