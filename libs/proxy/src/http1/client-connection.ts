import type { BodyLength, ClientStream, ResetReason, Upstream, UpstreamRequest } from "../http/streams.ts";
import { Backlog } from "../io/backlog.ts";
import type { Connection, ConnectionHandler } from "../io/connection.ts";
import { LEAST_SPLICED } from "../io/splice.ts";
import { type BodySink, ChunkedDecoder } from "./chunked.ts";
import { type HeadPool, type Http1Head, MAX_HEAD_BYTES } from "./head.ts";
import { INCOMPLETE, parseResponseHead } from "./parse-head.ts";
import { writeChunk, writeLastChunk, writeRequestHead } from "./write-head.ts";

/** The pool a connection belongs to. */
export interface ClientOwner {
  readonly heads: HeadPool;
  /** The response is complete and the connection may carry another request. */
  idle(client: ClientConnection): void;
  gone(client: ClientConnection): void;
}

/** Times that bytes are moved for one read, so that others have their turn. */
const MOST_SPLICES = 4;

type Framing = "none" | "length" | "chunked" | "untilClose" | "tunnel";

/**
 * The client side of one HTTP/1 connection. Strict: a response that is not well framed, bytes without a request, or a second
 * response end the connection. `ResetReason` tells the caller what a retry may assume.
 */
export class ClientConnection implements Upstream, ConnectionHandler, BodySink {
  readonly connection: Connection;
  readonly owner: ClientOwner;
  stream: ClientStream | undefined = undefined;
  /** Requests carried so far. */
  requests = 0;
  /** A byte of the current response has arrived. */
  sawBytes = false;
  /** The whole request is written: only then may the connection be used again. */
  #requestDone = false;
  /** The request's body goes out in chunks. */
  #chunkedOut = false;
  #inHead = true;
  #keepAlive = true;
  #isHead = false;
  #upgradeAllowed = false;
  #framing: Framing = "none";
  #left = 0;
  #headKept = false;
  readonly #decoder = new ChunkedDecoder();
  #partial: Buffer | undefined = undefined;
  readonly #backlog = new Backlog();

  constructor(connection: Connection, owner: ClientOwner) {
    this.connection = connection;
    this.owner = owner;
    connection.handler = this;
  }

  begin(stream: ClientStream, isHead: boolean, upgradeAllowed: boolean): void {
    this.stream = stream;
    this.requests++;
    this.sawBytes = false;
    this.#requestDone = false;
    this.#inHead = true;
    this.#keepAlive = true;
    this.#isHead = isHead;
    this.#upgradeAllowed = upgradeAllowed;
  }

  get congested(): boolean {
    return this.connection.congested;
  }

  get queuedBytes(): number {
    return this.connection.queued;
  }

  sendHead(request: UpstreamRequest): void {
    this.#chunkedOut = request.head.chunked;
    writeRequestHead(this.connection, request);
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    if (this.#chunkedOut) writeChunk(this.connection, bytes, start, end);
    else this.connection.write(bytes, start, end);
  }

  sendEnd(trailers: string): void {
    if (this.#chunkedOut) writeLastChunk(this.connection, trailers);
    this.#requestDone = true;
  }

  becomeTunnel(): void {
    this.#chunkedOut = false;
  }

  finishTunnel(): void {
    this.connection.finish();
  }

  throttle(on: boolean, stream: ClientStream): void {
    if (this.stream !== stream) return;
    if (on) this.connection.pause();
    else this.connection.resume();
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.stream === undefined) {
      // Bytes nobody asked for: this connection cannot be trusted with another request.
      this.connection.destroy();
      return;
    }
    this.sawBytes = true;
    if (this.#partial === undefined) {
      this.#process(bytes, start, end);
      return;
    }
    const grown = this.#backlog.join(this.#partial, bytes, start, end);
    if (grown.length <= MAX_HEAD_BYTES && bytes.subarray(start, end).indexOf(10) < 0) {
      this.#partial = grown;
      return;
    }
    this.#partial = undefined;
    this.#backlog.release();
    this.#process(grown, 0, grown.length);
  }

  #process(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (this.#inHead) {
      const after = this.#readHead(bytes, at, end);
      if (after <= 0) return;
      at = after;
      if (this.connection.closed || this.stream === undefined) return;
      if (at >= end && this.#inHead) return;
    }
    if (at < end || this.#framing === "none") this.#readBody(bytes, at, end);
  }

  /** Offset behind the head, or 0 when there is nothing more to do with these bytes. */
  #readHead(bytes: Buffer, at: number, end: number): number {
    const head = this.owner.heads.take();
    const after = parseResponseHead(bytes, at, end, head);
    if (after <= 0) {
      if (after === INCOMPLETE) this.#partial = Buffer.from(bytes.subarray(at, end));
      else this.#fail("protocolError", head.error);
      this.owner.heads.give(head);
      return 0;
    }
    head.adopt(bytes, at);
    this.#headKept = false;
    const ok = this.#onHead(head);
    if (!this.#headKept) this.owner.heads.give(head);
    return ok ? after : 0;
  }

  #onHead(head: Http1Head): boolean {
    const status = head.status;
    const stream = this.stream;
    if (stream === undefined) return false;
    if (status < 200 && status !== 101) {
      if (head.chunked || head.contentLength > 0) return this.#fail("protocolError", "http1.interim_with_body");
      stream.onInterim(head);
      return true;
    }
    this.#inHead = false;
    if (head.close) this.#keepAlive = false;
    if (status === 101) {
      if (!this.#upgradeAllowed) return this.#fail("protocolError", "http1.unexpected_upgrade");
      this.#framing = "tunnel";
      this.#keepAlive = false;
      this.#headKept = stream.onResponseHead(head, "unknown");
      return true;
    }
    const length = this.#frame(head, status);
    this.#headKept = stream.onResponseHead(head, length);
    this.#expect(length);
    return true;
  }

  #frame(head: Http1Head, status: number): BodyLength {
    if (status === 204 || status === 304) {
      this.#framing = "none";
      return "none";
    }
    if (this.#isHead) {
      this.#framing = "none";
      return head.contentLength >= 0 ? head.contentLength : "none";
    }
    if (head.chunked) {
      this.#framing = "chunked";
      this.#decoder.reset();
      return "unknown";
    }
    if (head.contentLength >= 0) {
      this.#framing = head.contentLength === 0 ? "none" : "length";
      this.#left = head.contentLength;
      return head.contentLength;
    }
    this.#framing = "untilClose";
    this.#keepAlive = false;
    return "unknown";
  }

  #readBody(bytes: Buffer, at: number, end: number): void {
    switch (this.#framing) {
      case "none":
        this.#finish("", at < end);
        return;
      case "length": {
        const take = Math.min(this.#left, end - at);
        this.#left -= take;
        this.stream?.onResponseBody(bytes, at, at + take);
        const surplus = this.#left >= LEAST_SPLICED ? this.#splice() : at + take < end;
        if (this.#left === 0) this.#finish("", surplus);
        return;
      }
      case "chunked": {
        const after = this.#decoder.decode(bytes, at, end, this);
        if (after < 0) this.#fail("protocolError", "http1.codec_error");
        else if (this.#decoder.done) this.#finish(this.#decoder.trailers, after < end);
        return;
      }
      case "untilClose":
      case "tunnel":
        this.stream?.onResponseBody(bytes, at, end);
    }
  }

  /** The rest of the body goes past us, as far as it has come and may. Answers whether something stands behind it. */
  #splice(): boolean {
    const { connection } = this;
    const { splicer } = connection.io;
    if (splicer === undefined || connection.io.direct !== connection) return false;
    for (let round = 0; round < MOST_SPLICES && this.#left > 0; round++) {
      const target = this.stream?.spliceTarget?.();
      if (target === undefined || connection.closed) return false;
      const moved = splicer.move(connection, target, this.#left);
      const { left, surplus } = splicer;
      const read = moved + (left?.length ?? 0);
      if (read === 0) return false;
      this.#left -= read;
      connection.bytesRead += read;
      if (moved > 0) this.stream?.onResponseSpliced?.(moved);
      if (left !== undefined) this.stream?.onResponseBody(left, 0, left.length);
      if (left !== undefined || surplus) return surplus;
    }
    return false;
  }

  /** Decides how much of what comes is read at a time. Short bodies come in one read either way. */
  #expect(length: BodyLength): void {
    if (length === "none" || (length !== "unknown" && length < LEAST_SPLICED)) return;
    const { io, transport } = this.connection;
    const target = length === "unknown" ? undefined : this.stream?.spliceTarget?.();
    const spliced = target !== undefined && target.transport.descriptor >= 0 && transport.descriptor >= 0;
    if (spliced) io.wantSplicer();
    transport.readLittle(spliced && io.splicer !== undefined);
  }

  onBodySpan(bytes: Buffer, start: number, end: number): void {
    this.stream?.onResponseBody(bytes, start, end);
  }

  #finish(trailers: string, surplus: boolean): void {
    const stream = this.stream;
    if (stream === undefined) return;
    this.stream = undefined;
    if (this.#keepAlive && this.#requestDone && !surplus && !this.connection.ended) {
      this.connection.resume();
      this.owner.idle(this);
    } else this.connection.destroy();
    stream.onResponseEnd(trailers);
  }

  #fail(reason: ResetReason, detail: string): false {
    const stream = this.stream;
    this.stream = undefined;
    this.connection.destroy();
    stream?.onUpstreamReset(reason, detail);
    return false;
  }

  /** The stream gives the request up; the connection cannot be used again. */
  cancel(): void {
    this.stream = undefined;
    this.connection.destroy();
  }

  onEnd(): void {
    if (this.stream === undefined) {
      this.connection.destroy();
      return;
    }
    if (this.#inHead) return void this.#fail("connectionTermination", "");
    switch (this.#framing) {
      case "untilClose":
        this.#finish("", false);
        return;
      case "tunnel":
        this.stream.onUpstreamTunnelEnd();
        return;
      default:
        this.#fail("connectionTermination", "");
    }
  }

  onDrain(): void {
    this.stream?.onUpstreamDrain();
  }

  onClose(error: string | undefined): void {
    const stream = this.stream;
    this.stream = undefined;
    this.owner.gone(this);
    stream?.onUpstreamReset("connectionTermination", error ?? "");
  }
}
