import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { TLSSocket } from "node:tls";
import { status } from "@grpc/grpc-js";
import { type CancelTimer, type Clock, type Logger, messageOf } from "@lateen/kernel";
import { RpcCall, type RpcMethod, type RpcPeer } from "./call.ts";
import { encodeStatusText } from "./failure.ts";

/** Bounds and times of one connection. */
export interface ConnectionLimits {
  readonly streamsPerConnection: number;
  readonly receiveBytes: number;
  readonly sessionMemoryMb: number;
  readonly connectionAgeMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
}

export interface ConnectionContext {
  /** By path. */
  readonly methods: ReadonlyMap<string, RpcMethod>;
  readonly limits: ConnectionLimits;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds that calls have to end by themselves when their connection is too old. */
const AGE_GRACE_MS = 2_000;

/** A timer that fires so much late says that this process was busy, and that answers may lie unread. */
const LATE_MS = 250;

/** Serves gRPC on one connection (gRPC over HTTP/2). Ends with the socket. */
export class RpcConnection {
  readonly #session: ServerHttp2Session;
  readonly #context: ConnectionContext;
  readonly #peer: RpcPeer;
  readonly #calls = new Set<RpcCall>();

  /** @param socket connected; a client certificate that it presents is verified. */
  constructor(socket: TLSSocket, context: ConnectionContext) {
    const { clock, limits, logger } = context;
    this.#context = context;
    this.#peer = {
      address: `${socket.remoteAddress}:${socket.remotePort}`,
      subjectAltName: socket.authorized ? (socket.getPeerCertificate().subjectaltname ?? "") : "",
    };
    socket.setNoDelay(true);
    this.#session = performServerHandshake(socket, {
      maxSessionMemory: limits.sessionMemoryMb,
      settings: { maxConcurrentStreams: limits.streamsPerConnection, enablePush: false },
    });
    const cancelKeepalive = clock.every(limits.keepaliveMs, () => this.#checkAlive());
    const cancelAge = clock.after(limits.connectionAgeMs, () => this.#tooOld());
    this.#session.on("stream", (stream, headers) => this.#serve(stream, headers));
    this.#session.on("error", (error) => logger.debug({ event: "grpc.session_error", reason: messageOf(error) }));
    this.#session.on("close", () => {
      cancelKeepalive();
      cancelAge();
    });
  }

  /** GOAWAY: no new calls; the connection closes with the last of those that are open. */
  drain(): void {
    if (!this.#session.closed && !this.#session.destroyed) this.#session.close();
  }

  /** Closes at once. */
  destroy(): void {
    this.#session.destroy();
  }

  #checkAlive(): void {
    if (this.#session.closed || this.#session.destroyed) return;
    let cancel = this.#expectAnswer((later) => {
      cancel = later;
    });
    const stop = () => cancel();
    this.#session.once("close", stop);
    this.#session.ping(() => {
      cancel();
      this.#session.off("close", stop);
    });
  }

  /** Cuts a peer that does not answer in time. @param again gets the timer that follows one that fired too late to tell. */
  #expectAnswer(again: (cancel: CancelTimer) => void): CancelTimer {
    const { clock, limits, logger } = this.#context;
    const due = clock.monotonic() + limits.keepaliveTimeoutMs;
    return clock.after(limits.keepaliveTimeoutMs, () => {
      if (clock.monotonic() - due > LATE_MS) {
        again(this.#expectAnswer(again));
        return;
      }
      logger.debug({ event: "grpc.peer_silent", peer: this.#peer.address });
      this.destroy();
    });
  }

  /** Identities are checked when a connection is made; clients come again and are checked anew. */
  #tooOld(): void {
    this.drain();
    for (const call of this.#calls) call.destroy(new Error("the connection is old: come again"));
    this.#context.clock.after(AGE_GRACE_MS, () => this.destroy());
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const refusal = refusalOf(headers);
    if (refusal !== undefined) {
      stream.on("error", () => {});
      stream.respond({ ":status": refusal }, { endStream: true });
      stream.close(constants.NGHTTP2_NO_ERROR);
      return;
    }
    const { methods, limits, clock, logger } = this.#context;
    const method = methods.get(String(headers[":path"]));
    if (method === undefined) {
      refuse(stream, status.UNIMPLEMENTED, "no such method");
      return;
    }
    try {
      const call = new RpcCall(stream, headers, {
        method,
        peer: this.#peer,
        clock,
        receiveBytes: limits.receiveBytes,
      });
      this.#calls.add(call);
      call.once("close", () => this.#calls.delete(call));
      call.start();
    } catch (error) {
      logger.error({ event: "grpc.call_failed", path: String(headers[":path"]), reason: messageOf(error) });
      refuse(stream, status.INTERNAL, "internal error");
    }
  }
}

/** HTTP status for requests that are no gRPC calls. */
function refusalOf(headers: IncomingHttpHeaders): number | undefined {
  if (!/^application\/grpc(?:$|[+;])/i.test(headers["content-type"] ?? "")) return 415;
  return headers[":method"] === "POST" ? undefined : 405;
}

function refuse(stream: ServerHttp2Stream, code: number, text: string): void {
  stream.on("error", () => {});
  if (stream.headersSent || stream.destroyed) {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    return;
  }
  const trailers = { "grpc-status": String(code), "grpc-message": encodeStatusText(text) };
  stream.respond({ ":status": 200, "content-type": "application/grpc", ...trailers }, { endStream: true });
  stream.close(constants.NGHTTP2_NO_ERROR);
}
