/** Where a connection was headed, and what its first bytes tell. */
export interface ConnectionInput {
  /** `outbound`: from the application of a sidecar; `inbound`: to it; `gateway`: to a gateway's own port. */
  readonly direction: "outbound" | "inbound" | "gateway";
  /** The address it would have reached without a proxy. */
  readonly destinationAddress: string;
  readonly destinationPort: number;
  readonly sourceAddress: string;
  /** What the client speaks inside TLS, or without TLS. */
  readonly speaks: "http" | "other";
  /** Undefined: no TLS. */
  readonly tls: ClientTls | undefined;
}

/** What a TLS client shows. */
export interface ClientTls {
  /** Lower case; empty: none. */
  readonly serverName: string;
  readonly applicationProtocols: readonly string[];
  /** URI name of the certificate it presents; undefined: it has none. */
  readonly principal: string | undefined;
}

/** A request as the client sends it. */
export interface RequestInput {
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly authority: string;
  /** Lower-case names. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** What the token it carries says, whose signature is taken for good; undefined: it carries none. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
}

/** What a proxy would do with a connection and the request on it. Shares are in [0,1]. */
export interface Trace {
  /** Undefined: nothing listens there. */
  readonly listener: string | undefined;
  readonly chain: string | undefined;
  /** How the client's TLS is treated. */
  readonly downstreamTls: "none" | "terminated" | "mutual" | "passed through";
  /** Every set of rules that was asked, in order; a refusal is the last. */
  readonly policies: readonly PolicyVerdict[];
  /** Undefined where no HTTP is looked at. */
  readonly routeConfig: string | undefined;
  readonly virtualHost: string | undefined;
  readonly route: RouteFacts | undefined;
  readonly faults: readonly FaultFacts[];
  readonly outcome: Outcome;
}

export interface PolicyVerdict {
  readonly filter: string;
  readonly action: "allow" | "deny" | "log" | "custom";
  /** Of `custom`: as long as the service that is asked does not refuse. */
  readonly allowed: boolean;
  /** The policy that decided; undefined: none matched. */
  readonly policy: string | undefined;
  /** The Istio object behind it, `AuthorizationPolicy ns/name rule[0]`. */
  readonly object: string | undefined;
  /** The authorization service that decides, by the name of its provider. */
  readonly asked?: string;
}

export interface RouteFacts {
  readonly name: string;
  /** The Istio object behind it, `VirtualService ns/name http[1]`. */
  readonly object: string | undefined;
}

/** A fault injected into a share of the requests. */
export interface FaultFacts {
  readonly share: number;
  readonly delayMs: number | undefined;
  readonly abortStatus: number | undefined;
}

export type Outcome =
  | ForwardOutcome
  | { readonly kind: "redirect"; readonly status: number; readonly location: string }
  /** The proxy answers by itself. */
  | { readonly kind: "answer"; readonly status: number; readonly body: string; readonly why: string }
  /** The connection is closed. */
  | { readonly kind: "close"; readonly why: string };

export interface ForwardOutcome {
  readonly kind: "forward";
  readonly destinations: readonly DestinationFacts[];
  /** Path and query sent on; undefined for connections. */
  readonly path: string | undefined;
  readonly requestEdits: readonly HeaderChange[];
  readonly responseEdits: readonly HeaderChange[];
  readonly mirrors: readonly { readonly cluster: string; readonly share: number }[];
  /** 0: none. */
  readonly timeoutMs: number;
  readonly retries: RetryFacts | undefined;
}

export interface RetryFacts {
  readonly attempts: number;
  readonly on: readonly string[];
  readonly statusCodes: readonly number[];
  /** 0: none. */
  readonly perTryTimeoutMs: number;
}

export interface HeaderChange {
  readonly change: "set" | "append" | "remove";
  readonly name: string;
  /** Empty for removals. Command operators stay as they are written. */
  readonly value: string;
}

/** One of the clusters that a share of the traffic goes to. */
export interface DestinationFacts {
  readonly cluster: string;
  readonly share: number;
  /** Authority sent on; undefined: the client's. */
  readonly authority: string | undefined;
  /** Edits of this destination only come with {@link ForwardOutcome.requestEdits} when there is but one destination. */
  readonly requestEdits: readonly HeaderChange[];
  readonly responseEdits: readonly HeaderChange[];
  /** False: there is no such cluster, and requests for it are answered with `missingStatus`. */
  readonly exists: boolean;
  readonly missingStatus: number;
  /** Why the cluster cannot be used by Lateen's proxy, when it exists. */
  readonly refused: string | undefined;
  /** The Istio object that shapes it. */
  readonly object: string | undefined;
  readonly endpoints: readonly EndpointFacts[];
}

export interface EndpointFacts {
  /** IP address, or a host name to be resolved. */
  readonly address: string;
  readonly port: number;
  /** 0 is preferred. */
  readonly priority: number;
  readonly healthy: boolean;
  /** Workload by its `namespace/name`, when known. */
  readonly workload: string | undefined;
  readonly tls: "none" | "tls" | "mesh mTLS";
  /** Sent in the handshake; undefined: none. */
  readonly serverName: string | undefined;
  readonly applicationProtocols: readonly string[];
}
