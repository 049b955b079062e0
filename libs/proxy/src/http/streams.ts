import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import type { Connection } from "../io/connection.ts";

/** Bytes of a body; `unknown`: until its end; `none`: the message has none by definition. */
export type BodyLength = number | "unknown" | "none";

// ---------------------------------------------------------------- downstream

/** One exchange as the server codec sees it. */
export interface ServerStream {
  onRequestBody(bytes: Buffer, start: number, end: number): void;
  onRequestEnd(trailers: string): void;
  /** What was written waits for a slow client, who took all until now. */
  onDownstreamCongested?(): void;
  onDownstreamDrain(): void;
  /** The client is gone, or broke its framing (`protocol`) or was too slow (`timeout`). Final. */
  onDownstreamReset(reason: "disconnect" | "protocol" | "timeout"): void;
  /** FIN of the client while the exchange is a tunnel. */
  onTunnelEnd(): void;
}

/** Where the response of one exchange goes: a connection of HTTP/1, a stream of HTTP/2. */
export interface Downstream {
  /** See {@link ClientStream.spliceTarget}. */
  spliceTarget?(): Connection | undefined;
  readonly connection: Connection;
  stream: ServerStream | undefined;
  /** The request has been read to its end. */
  readonly requestDone: boolean;
  /** What is written waits for a slow client; `onDownstreamDrain` follows. */
  readonly congested: boolean;
  /** Stops or resumes taking the request because whoever takes its body is slow. */
  throttle(on: boolean): void;
  /** An interim response of the upstream (1xx except 101). */
  sendInterim(head: Http1Head): void;
  /**
   * Starts the response. Headers come from `head` (an upstream's), `edits` and `lines` (with their CRLFs). `length` says how the body
   * is framed.
   */
  sendHead(
    status: number,
    head: Http1Head | undefined,
    edits: EditList | undefined,
    lines: string,
    length: BodyLength,
  ): void;
  /** A 101: both directions become a byte tunnel. */
  sendUpgrade(head: Http1Head | undefined, edits: EditList | undefined, lines: string): void;
  sendBody(bytes: Buffer, start: number, end: number): void;
  /** Ends the response; the stream is over for this side. */
  sendEnd(trailers: string): void;
  /** FIN of the upstream while this is a tunnel. */
  finishTunnel(): void;
  /** Breaks the stream: the response cannot be completed. */
  abort(): void;
  /** Lets the connection end with the current response, where it carries one at a time. */
  closeAfterResponse(): void;
}

// ---------------------------------------------------------------- upstream

/** Why an upstream could not bring a whole response. */
export type ResetReason =
  | "connectFailure"
  | "connectTimeout"
  | "connectionTermination"
  | "protocolError"
  | "overflow"
  | "tlsFailure"
  /** RST_STREAM of the upstream. */
  | "remoteReset"
  /** The upstream says that it did nothing: REFUSED_STREAM, or a stream behind its GOAWAY. */
  | "remoteRefused";

/** One request as the client codec sees it. */
export interface ClientStream {
  /** Where the rest of the response's body may go unseen and unchanged; undefined: it has to be read. */
  spliceTarget?(): Connection | undefined;
  /** So many bytes of the body went there. */
  onResponseSpliced?(bytes: number): void;
  /** A 1xx other than 101. */
  onInterim(head: Http1Head): void;
  /** Answers whether the stream keeps the head; then it gives it back to the pool of heads itself. */
  onResponseHead(head: Http1Head, bodyLength: BodyLength): boolean;
  onResponseBody(bytes: Buffer, start: number, end: number): void;
  onResponseEnd(trailers: string): void;
  onUpstreamDrain(): void;
  /** FIN of the upstream while this is a tunnel. */
  onUpstreamTunnelEnd(): void;
  onUpstreamReset(reason: ResetReason, detail: string): void;
}

/** The request head an attempt sends. */
export interface UpstreamRequest {
  readonly head: Http1Head;
  readonly requestEdits: EditList;
  /** More header lines with their CRLFs. */
  readonly lines: string;
  /** Value of `upgrade`, when the connection may become a tunnel. */
  readonly upgrade: string | undefined;
  /** HTTP/2: `:scheme`. */
  readonly secure: boolean;
}

/** What carries one request to an endpoint: a connection of HTTP/1, a stream of HTTP/2. */
export interface Upstream {
  readonly connection: Connection;
  /** Requests that were carried before this one. */
  readonly requests: number;
  /** A byte of the response has arrived. */
  readonly sawBytes: boolean;
  /** What is written waits for a slow upstream; `onUpstreamDrain` follows. */
  readonly congested: boolean;
  /** Bytes that wait in user space for a slow upstream. */
  readonly queuedBytes: number;
  begin(stream: ClientStream, isHead: boolean, upgradeAllowed: boolean): void;
  sendHead(request: UpstreamRequest): void;
  sendBody(bytes: Buffer, start: number, end: number): void;
  /** The request is complete. */
  sendEnd(trailers: string): void;
  /** The upstream agreed to an upgrade: from now on the body is a byte stream without framing. */
  becomeTunnel(): void;
  finishTunnel(): void;
  /** Stops or resumes taking the response because the client of `stream` is slow. Nothing when it carries another one by now. */
  throttle(on: boolean, stream: ClientStream): void;
  /** The stream gives the request up; it hears no more. */
  cancel(): void;
}
