import type { Result } from "@lateen/kernel";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import type { Any } from "@lateen/proto/google/protobuf/any";

/** One named resource, encoded once and shared by every stream that gets it. Equal `version` means equal bytes. */
export interface EncodedResource {
  readonly name: string;
  /** Content hash. Never empty. */
  readonly version: string;
  readonly any: Any;
}

/**
 * What one stream may get. Pure and cheap to ask again: the session compares the answer with what the client holds, and skips
 * the comparison when it is the very same map as last time.
 */
export interface StreamSource {
  /** Configuration revision that the answers below realise; never falls. */
  revision(): number;
  /** What clients and logs see as the version, e.g. `12/340`. Default: the revision. */
  versionInfo?(): string;
  /**
   * All resources of the type, or with `names` only those; names that do not exist are left out. Undefined when it cannot be said
   * now: the client then keeps what it holds, and the source is asked again after the next change.
   */
  resources(typeUrl: string, names?: ReadonlySet<string>): ReadonlyMap<string, EncodedResource> | undefined;
  /**
   * All resources of the type as a map that other streams get as well, if the source can say all of them; asked instead of long lists
   * of names. A `LayeredMap`'s layers may be shared more widely than the whole; that one stays as it is costs nothing.
   */
  whole?(typeUrl: string): ReadonlyMap<string, EncodedResource> | undefined;
  /** Names missing from the last answer of which it cannot be said now whether they exist: they are not reported as gone. */
  unknown?(typeUrl: string): ReadonlySet<string>;
}

/** Why a stream is ended: a gRPC status code and a text for the client. */
export interface StreamRefusal {
  readonly code: number;
  readonly message: string;
}

/** Decides once, on a stream's first request, who the client is and what it may get. */
export type AdmitStream = (node: Node) => Result<StreamSource, StreamRefusal>;

/** A response the client refused. */
export interface NackRecord {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly revision: number;
  /** What the client said, cut to 1024 characters. */
  readonly reason: string;
  /** Resources that the reason mentions, or all that the response carried. */
  readonly names: readonly string[];
}

/** One response that was given to the transport. */
export interface SentFacts {
  readonly nonce: string;
  readonly resources: number;
  readonly removed: number;
  /** Of the contents of its resources. */
  readonly bytes: number;
  /** Milliseconds that it took to make it and to give it away. */
  readonly tookMs: number;
  /** Milliseconds since the oldest change in it; undefined when it answers a question of the client. */
  readonly ageMs: number | undefined;
}

/** What a session reports to its owner, as it happens. */
export interface StreamObserver {
  sent?(typeUrl: string, facts: SentFacts): void;
  acked?(typeUrl: string, nonce: string): void;
  nacked?(record: NackRecord): void;
  /** An answer to something else than the response in flight; it changes nothing. */
  expired?(typeUrl: string): void;
  /** Everything asked for is acknowledged at this revision. Called again only for a higher one. */
  settled?(revision: number): void;
}

/** Bounds of one stream; exceeding one ends the stream with RESOURCE_EXHAUSTED. */
export interface StreamLimits {
  /** Distinct type URLs. Default 32. */
  readonly types: number;
  /** Explicitly subscribed names per type. Default 50000: a mesh of 10,000 services with subsets. */
  readonly names: number;
  /** Characters of one name. Default 1024. */
  readonly nameLength: number;
  /** Requests per second that a stream may sustain. Default 200. */
  readonly requestsPerSecond: number;
  /** Requests above that rate a stream may save up for. Default 2000. */
  readonly requestBurst: number;
  /**
   * Bytes of resources in one delta response; more are sent in further responses, one at a time, before the types that depend on
   * them. One resource larger than this still travels alone. Default 1 MiB: many streams at once then need little memory; gRPC clients
   * accept 4 MiB by default.
   */
  readonly responseBytes: number;
}

/** State of one type on one stream. */
export interface TypeStatus {
  /** Nonce of the last response, or undefined when nothing was sent. */
  readonly sent: string | undefined;
  /** Nonce of the last acknowledged response. */
  readonly acked: string | undefined;
  /** The refusal that stands, until the refused resources change or go. */
  readonly nack: NackRecord | undefined;
  /** Resources the client was told of and that exist. */
  readonly resources: number;
}

/** How far a stream is. */
export interface StreamProgress {
  /** Nothing to send, nothing outstanding, nothing refused right now. */
  readonly clean: boolean;
  /** Nothing to send now and no answer outstanding; what was refused does not matter. */
  readonly idle: boolean;
  /** Highest revision at which everything asked for was acknowledged; undefined before that happened. */
  readonly settledRevision: number | undefined;
  /** Whether the client asked for anything of a type. */
  asked(typeUrl: string): boolean;
}

export interface StreamStatus {
  readonly types: Readonly<Record<string, TypeStatus>>;
  /** Highest revision at which everything asked for was acknowledged; undefined before that happened. */
  readonly settledRevision: number | undefined;
  /** Nothing to send, nothing outstanding, nothing refused right now. */
  readonly clean: boolean;
}
