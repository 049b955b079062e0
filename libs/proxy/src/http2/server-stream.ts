import type { BodyLength, Downstream, ServerStream } from "../http/streams.ts";
import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { Connection } from "../io/connection.ts";
import { INTERNAL_ERROR } from "./frames.ts";
import { boundOf, writeHeadFields, writeLines, writeStatus } from "./hpack-encoder.ts";
import type { Http2Session } from "./session.ts";
import { Http2Stream, type StreamEnd } from "./stream.ts";

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
    this.#send(100, undefined, "", false);
  }

  sendInterim(head: Http1Head): void {
    this.#send(head.status, head, "", false);
  }

  sendHead(
    status: number,
    head: Http1Head | undefined,
    edits: EditList | undefined,
    lines: string,
    length: BodyLength,
  ): void {
    let text = edits === undefined || edits.isEmpty ? lines : lines + edits.lines();
    if (typeof length === "number" && length > 0 && !(head?.has(K["content-length"]) ?? false)) {
      text += `content-length: ${length}\r\n`;
    }
    const end = this.#isHead || length === "none" || length === 0;
    this.#send(status, head, text, end);
  }

  #send(status: number, head: Http1Head | undefined, text: string, end: boolean): void {
    this.session.sendBlock(this, end, {
      bound: boundOf(head, text),
      maxFrame: this.session.maxFrame,
      encode(buffer, start) {
        let at = writeStatus(buffer, start, status);
        if (head !== undefined) at = writeHeadFields(buffer, at, head);
        return writeLines(buffer, at, text);
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
