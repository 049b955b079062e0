import { TLSSocket } from "node:tls";
import { messageOf } from "@lateen/kernel";
import type { Connection } from "../io/connection.ts";
import { fromSocket } from "../io/sockets.ts";
import type { ServerTls } from "./contexts.ts";
import { PeerCertificate } from "./peer-certificate.ts";

/** A client that takes longer is gone or not one of ours. */
const HANDSHAKE_TIMEOUT_MS = 15_000;

export interface TlsAcceptOptions {
  readonly tls: ServerTls;
  /** What the client offered, in its order. */
  readonly offered: readonly string[];
  /** What we choose from, best first. */
  readonly spoken: readonly string[];
  /** The ClientHello and whatever else inspection has read. */
  readonly bytes: Buffer | undefined;
}

/** Exactly one is called, later. After `failed` the connection is gone. */
export interface TlsAcceptOutcome {
  ready(connection: Connection, peer: PeerCertificate | undefined): void;
  failed(reason: string): void;
}

/** The part of node's TLS handle that tells whether the peer's chain verified. */
interface VerifyingHandle {
  verifyError?: () => Error | null | undefined;
}

/** Terminates TLS on an accepted connection, whose socket the TLS connection then owns. */
export function acceptTls(raw: Connection, options: TlsAcceptOptions, outcome: TlsAcceptOutcome): void {
  const { tls, offered, spoken, bytes } = options;
  const { io } = raw;
  // A handshake without a common protocol goes on without one (as in Envoy) instead of being refused (as in node).
  const common = spoken.some((protocol) => offered.includes(protocol));
  raw.pause();
  if (raw.queued > 0) {
    // Whatever was said before TLS must be with the client by now: an unfinished write cannot change hands.
    raw.destroy();
    queueMicrotask(() => outcome.failed("client does not read"));
    return;
  }
  if (bytes !== undefined) raw.socket.unshift(bytes);
  const socket = new TLSSocket(raw.socket, {
    isServer: true,
    secureContext: tls.context,
    requestCert: tls.requestCertificate,
    rejectUnauthorized: tls.requireCertificate,
    ...(common ? { ALPNProtocols: [...spoken] } : {}),
  });
  socket.disableRenegotiation();
  let done = false;
  let reason = "connection closed";
  const timer = io.wheel.timer(() => fail("handshake timeout"));
  const fail = (why: string): void => {
    if (done) return;
    done = true;
    timer.cancel();
    socket.destroy();
    raw.destroy();
    outcome.failed(why);
  };
  socket.on("error", (error) => {
    reason = messageOf(error);
    fail(reason);
  });
  // No handshake comes to its end any more: waiting for its time limit would be for nothing.
  socket.once("end", () => fail("client closed"));
  socket.once("close", () => fail(reason));
  raw.handler = { onBytes() {}, onEnd() {}, onDrain() {}, onClose: () => fail(reason) };
  socket.once("secure", () => {
    if (done) return;
    const verdict = judgePeer(socket, tls);
    if (typeof verdict === "string") return fail(verdict);
    done = true;
    timer.cancel();
    raw.handler = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };
    io.enter();
    try {
      outcome.ready(fromSocket(io, socket, true), verdict.peer);
    } catch (error) {
      io.onDefect(error);
      socket.destroy();
    } finally {
      io.leave();
    }
  });
  timer.arm(HANDSHAKE_TIMEOUT_MS);
}

/** The peer's certificate, when it gave one that holds; a text when the connection must be refused. */
function judgePeer(socket: TLSSocket, tls: ServerTls): { readonly peer: PeerCertificate | undefined } | string {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    return tls.requireCertificate ? "peer did not return a certificate" : { peer: undefined };
  }
  const peer = new PeerCertificate(certificate);
  if (!tls.verify) return { peer };
  const handle = (socket as unknown as { _handle?: VerifyingHandle })._handle;
  if (typeof handle?.verifyError !== "function") return "certificates cannot be verified by this TLS library";
  const error = handle.verifyError();
  if (error !== null && error !== undefined) return `certificate verify failed: ${error.message}`;
  return tls.judge(peer) ?? { peer };
}
