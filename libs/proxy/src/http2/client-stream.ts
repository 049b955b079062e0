import type { BodyLength, ClientStream, Upstream, UpstreamRequest } from "../http/streams.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { Connection } from "../io/connection.ts";
import { CANCEL, REFUSED_STREAM } from "./frames.ts";
import { boundOf, boundOfEdits, writeEdits, writeHeadFields, writeRequestPseudo } from "./hpack-encoder.ts";
import type { Http2Session } from "./session.ts";
import { Http2Stream, type StreamEnd } from "./stream.ts";

const TRAILERS_TAKEN = "te: trailers\r\n";

/** A request to an HTTP/2 server. */
export class Http2ClientStream extends Http2Stream implements Upstream {
  /** Streams of the session before this one. */
  readonly requests: number;
  /** The response's head has arrived. */
  sawBytes = false;
  #stream: ClientStream | undefined = undefined;
  #isHead = false;
  #sent = false;

  constructor(
    session: Http2Session,
    id: number,
    requests: number,
    windows: { readonly send: number; readonly receive: number },
  ) {
    super(session, id, windows);
    this.requests = requests;
  }

  get connection(): Connection {
    return this.session.connection;
  }

  begin(stream: ClientStream, isHead: boolean): void {
    this.#stream = stream;
    this.#isHead = isHead;
  }

  // ------------------------------------------------------------------ request

  sendHead(request: UpstreamRequest): void {
    const { head, requestEdits, secure } = request;
    const text = head.teTrailers ? request.lines + TRAILERS_TAKEN : request.lines;
    const { texts } = this.session;
    this.#sent = true;
    this.session.sendBlock(this, false, {
      bound: boundOf(head, text) + boundOfEdits(requestEdits),
      maxFrame: this.session.maxFrame,
      encode(buffer, start) {
        let at = writeRequestPseudo(buffer, start, head, secure);
        at = writeHeadFields(buffer, at, head);
        at = writeEdits(buffer, at, requestEdits, texts);
        return texts.lines(buffer, at, text);
      },
    });
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    this.session.sendData(this, bytes, start, end);
  }

  sendEnd(trailers: string): void {
    this.session.sendEnd(this, trailers);
  }

  /** Upgrades are not asked for over HTTP/2. */
  becomeTunnel(): void {}
  finishTunnel(): void {}

  cancel(): void {
    this.#stream = undefined;
    if (this.#sent) this.session.abandon(this, CANCEL);
    else this.session.forget(this, "connection");
  }

  // ------------------------------------------------------------------ response

  /** Whether the framing of the response makes sense (RFC 9113 §8.1.1). */
  accepts(head: Http1Head, endStream: boolean): boolean {
    return !endStream || head.contentLength <= 0 || this.#isHead || head.status === 304;
  }

  /** A head, interim or final. Answers whether it was kept. */
  onHead(head: Http1Head, endStream: boolean): boolean {
    if (head.status < 200) {
      this.#stream?.onInterim(head);
      return false;
    }
    this.sawBytes = true;
    return this.#stream?.onResponseHead(head, this.#frame(head, endStream)) ?? false;
  }

  #frame(head: Http1Head, endStream: boolean): BodyLength {
    const { status, contentLength } = head;
    if (this.#isHead || status === 204 || status === 304) {
      this.contentLeft = 0;
      return this.#isHead && contentLength >= 0 ? contentLength : "none";
    }
    this.contentLeft = contentLength;
    if (endStream) return 0;
    if (contentLength > 0) return contentLength;
    // Trailers may follow an empty body, which a length would forbid further on.
    if (contentLength === 0) head.dropKnown(K["content-length"]);
    return "unknown";
  }

  override onData(bytes: Buffer, start: number, end: number): void {
    this.#stream?.onResponseBody(bytes, start, end);
  }

  override onEnd(trailers: string): void {
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.onResponseEnd(trailers);
  }

  override onReset(code: number, cause: StreamEnd): void {
    const stream = this.#stream;
    this.#stream = undefined;
    switch (cause) {
      case "peer":
        stream?.onUpstreamReset(code === REFUSED_STREAM ? "remoteRefused" : "remoteReset", "");
        return;
      case "refused":
        stream?.onUpstreamReset("remoteRefused", "");
        return;
      case "violation":
        stream?.onUpstreamReset("protocolError", "");
        return;
      case "connection":
        stream?.onUpstreamReset("connectionTermination", "");
    }
  }

  override onDrained(): void {
    this.#stream?.onUpstreamDrain();
  }
}
