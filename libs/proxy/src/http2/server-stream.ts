import type { BodyLength, Downstream, ServerStream } from "../http/streams.ts";
import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { Connection } from "../io/connection.ts";
import { INTERNAL_ERROR } from "./frames.ts";
import { boundOf, boundOfEdits, writeEdits, writeHeadFields, writeStatus } from "./hpack-encoder.ts";
import type { Http2Session } from "./session.ts";
import { Http2Stream, type StreamEnd } from "./stream.ts";

interface ResponseHead {
  readonly status: number;
  readonly head: Http1Head | undefined;
  readonly edits: EditList | undefined;
  /** Further lines with their CRLFs. */
  readonly text: string;
}

/** A request that came over HTTP/2, and the way of its response. */
export class Http2ServerStream extends Http2Stream implements Downstream {
  stream: ServerStream | undefined = undefined;
  /** Bytes of the request's head, for the session's account. */
  headBytes = 0;
  readonly #isHead: boolean;

  constructor(
    session: Http2Session,
    id: number,
    windows: { readonly send: number; readonly receive: number },
    head: Http1Head,
  ) {
    super(session, id, windows);
    this.#isHead = head.isHead;
  }

  get connection(): Connection {
    return this.session.connection;
  }

  get requestDone(): boolean {
    return this.remoteDone;
  }

  // ------------------------------------------------------------------ request

  override onData(bytes: Buffer, start: number, end: number): void {
    this.stream?.onRequestBody(bytes, start, end);
  }

  override onEnd(trailers: string): void {
    this.stream?.onRequestEnd(trailers);
  }

  override onReset(_: number, cause: StreamEnd): void {
    const { stream } = this;
    this.stream = undefined;
    stream?.onDownstreamReset(cause === "violation" ? "protocol" : "disconnect");
  }

  override onDrained(): void {
    this.stream?.onDownstreamDrain();
  }

  // ------------------------------------------------------------------ response

  sendContinue(): void {
    this.#send({ status: 100, head: undefined, edits: undefined, text: "" }, false);
  }

  sendInterim(head: Http1Head): void {
    this.#send({ status: head.status, head, edits: undefined, text: "" }, false);
  }

  sendHead(
    status: number,
    head: Http1Head | undefined,
    edits: EditList | undefined,
    lines: string,
    length: BodyLength,
  ): void {
    let text = lines;
    if (typeof length === "number" && length > 0 && !(head?.has(K["content-length"]) ?? false)) {
      text += `content-length: ${length}\r\n`;
    }
    const end = this.#isHead || length === "none" || length === 0;
    this.#send({ status, head, edits, text }, end);
  }

  #send({ status, head, edits, text }: ResponseHead, end: boolean): void {
    const { texts } = this.session;
    this.session.sendBlock(this, end, {
      bound: boundOf(head, text) + boundOfEdits(edits),
      maxFrame: this.session.maxFrame,
      encode(buffer, start) {
        let at = writeStatus(buffer, start, status);
        if (head !== undefined) at = writeHeadFields(buffer, at, head);
        at = texts.lines(buffer, at, text);
        return edits === undefined ? at : writeEdits(buffer, at, edits, texts);
      },
    });
  }

  /** There are no upgrades in HTTP/2 (RFC 9113 §8.6): none is asked for upstream. */
  sendUpgrade(): void {
    this.abort();
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    this.session.sendData(this, bytes, start, end);
  }

  sendEnd(trailers: string): void {
    this.stream = undefined;
    if (!this.localDone) this.session.sendEnd(this, trailers);
  }

  finishTunnel(): void {}

  abort(): void {
    this.stream = undefined;
    this.session.abandon(this, INTERNAL_ERROR);
  }

  /** Other streams go on. */
  closeAfterResponse(): void {}
}
