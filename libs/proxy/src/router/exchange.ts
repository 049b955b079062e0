import { type ForwardSpec, redirectLocation } from "@lateen/traffic";
import { replies } from "../chain/replies.ts";
import type { Exchange, LocalReply } from "../chain/spi.ts";
import type { BodyLength, ServerStream } from "../http/streams.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { ExchangeState } from "./exchange-state.ts";
import { Forward, type ForwardOwner } from "./forward.ts";
import { applyPathRules, type PreparedRequest, prepareRequest } from "./request-head.ts";
import { localResponse, upstreamLines } from "./response-lines.ts";
import { EXPECTED_TIMEOUT, expectedTimeoutMs, grpcTimeoutText, steer } from "./steering.ts";
import { rewriteRequest, startMirrors } from "./upstream-request.ts";

/**
 * One request and its response, from the head to the log line.
 * ## rules → filters (may wait) → route → forward | local reply → response (→ tunnel) → done
 * Objects are made per request and never reused, so that a late callback can do no harm; only heads return to their pool.
 */
export class HttpExchange extends ExchangeState implements Exchange, ServerStream, ForwardOwner, PreparedRequest {
  #upgrade: string | undefined = undefined;
  #filterIndex = 0;
  #waiting = false;
  #idleTimer: WheelTimer | undefined = undefined;
  #idleMs = 0;
  #activeMs = 0;
  #requestTimer: WheelTimer | undefined = undefined;
  #requestDone = false;
  #requestTrailers = "";
  #heldBody: Buffer[] | undefined = undefined;
  #responseStarted = false;
  #tunnel = false;
  #done = false;

  // ------------------------------------------------------------------ request head

  /** The head is complete; `server` knows this stream already. */
  begin(): void {
    try {
      const refusal = this.#judgeHead();
      if (refusal !== undefined) {
        this.localReply(refusal);
        return;
      }
      this.#armTimers();
      this.#runFilters();
    } catch (error) {
      this.#failClosed(error);
    }
  }

  /** A filter or a decision threw: nothing is forwarded that was not judged. */
  #failClosed(error: unknown): void {
    this.host.context.io.onDefect(error);
    this.localReply(replies.internalError);
  }

  #judgeHead(): LocalReply | undefined {
    const { head, host } = this;
    const path = applyPathRules(head, host.spec, this.info.destinationPort);
    prepareRequest(this, host.rules);
    if (head.authorityStart === head.authorityEnd) return replies.missingHost;
    if (path === "reject") return replies.pathNormalisationFailed;
    if (path !== "ok") return replies.escapedSlashRedirect(path.redirect);
    this.#match();
    return this.#acceptUpgrade() ? undefined : replies.upgradeFailed;
  }

  #match(): void {
    const { random, plan } = this.host.context;
    this.match = this.host.routes()?.match(this.head, random, this.info.secure ? "https" : "http");
    if (this.match?.route.action.kind !== "forward") return;
    this.weighted = this.match.route.pickCluster(random);
    this.target = plan.cluster(this.weighted.cluster);
  }

  /** An upgrade is passed on only when manager or route allow it; `h2c` is simply not offered to the upstream (RFC 9110 §7.8). */
  #acceptUpgrade(): boolean {
    const { head, host } = this;
    if (head.isConnect) return false;
    if (!head.connectionUpgrade) return true;
    const wanted = head.knownText(K.upgrade)?.toLowerCase();
    if (wanted === undefined || wanted === "h2c") return true;
    const action = this.match?.route.action;
    const allowed =
      host.spec.upgrades.includes(wanted) || (action?.kind === "forward" && action.upgrades.includes(wanted));
    if (allowed) this.#upgrade = wanted;
    return allowed;
  }

  // ------------------------------------------------------------------ time

  #armTimers(): void {
    const { spec, context } = this.host;
    const action = this.match?.route.action;
    const routeIdle = action?.kind === "forward" ? action.idleTimeoutMs : undefined;
    this.#idleMs = routeIdle ?? spec.streamIdleTimeoutMs;
    if (this.#idleMs > 0) {
      this.#activeMs = this.startedMs;
      this.#idleTimer = context.io.wheel.timer(() => this.#onIdle());
      this.#idleTimer.arm(this.#idleMs);
    }
    if (spec.requestTimeoutMs > 0 && !this.server.requestDone) {
      this.#requestTimer = this.ownTimer(() => this.localReply(replies.requestTimeout));
      this.#requestTimer.arm(spec.requestTimeoutMs);
    }
  }

  #onIdle(): void {
    const left = this.#idleMs - (this.host.context.io.wheel.now() - this.#activeMs);
    if (left > 0) this.#idleTimer?.arm(left);
    else this.localReply(replies.streamIdle(this.#requestDone));
  }

  #touch(): void {
    if (this.#idleMs > 0) this.#activeMs = this.host.context.io.wheel.now();
  }

  after(ms: number, callback: () => void): void {
    if (!this.#done) this.ownTimer(callback).arm(ms);
  }

  // ------------------------------------------------------------------ filters

  #runFilters(): void {
    const { filters } = this.host;
    while (this.#filterIndex < filters.length) {
      const filter = filters[this.#filterIndex++];
      const verdict = filter?.onRequestHead?.(this) ?? "continue";
      if (this.#done || verdict === "replied") return;
      if (verdict === "wait") {
        this.#waiting = true;
        return;
      }
    }
    this.#act();
  }

  resume(): void {
    if (!this.#waiting || this.#done) return;
    this.#waiting = false;
    try {
      this.#runFilters();
    } catch (error) {
      this.#failClosed(error);
    }
  }

  beforeAttempt(): void {
    for (const filter of this.host.filters) filter.onUpstream?.(this);
  }

  /** Responses go through the filters in reverse. */
  #filterResponse(): void {
    const { filters } = this.host;
    for (let i = filters.length - 1; i >= 0; i--) filters[i]?.onResponseHead?.(this);
  }

  // ------------------------------------------------------------------ the route's action

  #act(): void {
    const { match, responseEdits } = this;
    const action = match?.route.action;
    if (match === undefined || action === undefined) {
      this.localReply(replies.routeNotFound);
      return;
    }
    switch (action.kind) {
      case "forward":
        this.#forward(action);
        return;
      case "redirect": {
        const redirect = redirectLocation(match.route, this.head, this.info.secure ? "https" : "http");
        if (redirect === undefined) return;
        match.route.responseEdits.apply(responseEdits, this.resolve);
        this.localReply(replies.redirect(redirect.status, redirect.location));
        return;
      }
      case "direct":
        match.route.responseEdits.apply(responseEdits, this.resolve);
        this.localReply(replies.direct(action.status, action.body));
    }
  }

  #forward(action: ForwardSpec): void {
    const { head, requestEdits, target, weighted, info } = this;
    if (target === undefined || weighted === undefined) {
      this.localReply(replies.clusterNotFound(action.clusterNotFoundStatus));
      return;
    }
    const forwarding = steer(head, action);
    const expected = expectedTimeoutMs(forwarding, 0);
    if (expected > 0) requestEdits.set(EXPECTED_TIMEOUT, String(expected));
    // What is left of a gRPC client's time, as it counts here.
    if (action.grpcTimeout !== undefined && head.has(K["grpc-timeout"]) && forwarding.timeoutMs > 0) {
      requestEdits.set("grpc-timeout", grpcTimeoutText(forwarding.timeoutMs));
    }
    rewriteRequest(this, weighted);
    const original = target.spec.discovery === "originalDst";
    const choices = forwarding.retry?.avoidPreviousHosts ? forwarding.retry.hostSelectionMaxAttempts : 1;
    const avoidPriorities = forwarding.retry?.avoidPreviousPriorities ?? false;
    const hash = this.#hash();
    const forward = new Forward(this, {
      head,
      requestEdits,
      cluster: target,
      pick: (tried) =>
        original
          ? target.originalDestination(info.destinationAddress, info.destinationPort)
          : target.pick({ tried, attempts: choices, hash, avoidPriorities }),
      forwarding,
      isHead: head.isHead,
      upgrade: this.#upgrade,
      http2: head.major === 2,
      secure: this.secure,
      attemptCount: this.match?.virtualHost.spec.includeAttemptCount ?? false,
    });
    this.forward = forward;
    if (action.mirrors.length > 0 && this.#upgrade === undefined) forward.mirrors = startMirrors(this, action);
    forward.start();
    if (!this.#done) this.#passHeldBody(forward);
  }

  /** What stands for the client on a hash ring; a cookie that had to be made goes out with the response. */
  #hash(): bigint | undefined {
    const made = this.match?.route.hash?.(this.head, {
      address: this.remoteAddress,
      cookieValue: () => {
        const word = () =>
          Math.floor(this.host.context.random() * 0x1_0000_0000)
            .toString(16)
            .padStart(8, "0");
        return word() + word();
      },
    });
    this.#setCookie = made?.setCookie;
    return made?.hash;
  }
  #setCookie: string | undefined = undefined;

  // ------------------------------------------------------------------ request body

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    this.bytesReceived += end - start;
    this.#touch();
    if (this.forward !== undefined) {
      this.forward.onRequestBody(bytes, start, end);
      return;
    }
    this.#heldBody ??= [];
    this.#heldBody.push(Buffer.from(bytes.subarray(start, end)));
    this.server.throttle(true);
  }

  onRequestEnd(trailers: string): void {
    this.#requestDone = true;
    this.#requestTrailers = trailers;
    this.#requestTimer?.cancel();
    this.requestEndMs = this.bytesReceived > 0 ? this.elapsed() : 0;
    this.forward?.onRequestEnd(trailers);
  }

  /** What came while filters were asked. */
  #passHeldBody(forward: Forward): void {
    const held = this.#heldBody;
    this.#heldBody = undefined;
    if (held !== undefined) {
      for (const chunk of held) forward.onRequestBody(chunk, 0, chunk.length);
      if (!this.#requestDone) forward.askForMore();
    }
    if (this.#requestDone) forward.onRequestEnd(this.#requestTrailers);
  }

  onTunnelEnd(): void {
    this.forward?.finishTunnel();
  }

  onDownstreamDrain(): void {
    this.forward?.throttle(false);
  }

  onDownstreamReset(reason: "disconnect" | "protocol" | "timeout"): void {
    if (this.#done) return;
    this.forward?.cancel();
    const protocol = reason === "protocol";
    // A tunnel ends with its connection; that is no fault.
    if (!this.#tunnel) this.addFlag(protocol ? "DPE" : "DC");
    if (!this.#responseStarted) this.responseDetails = protocol ? "http1.codec_error" : "downstream_remote_disconnect";
    // The codec answers what cannot be parsed.
    if (!this.#responseStarted && protocol) this.responseCode = 400;
    this.#finish();
  }

  // ------------------------------------------------------------------ response

  throttleClient(on: boolean): void {
    this.server.throttle(on);
  }

  forwardInterim(head: Http1Head): void {
    this.#touch();
    this.server.sendInterim(head);
  }

  forwardResponse(head: Http1Head, length: BodyLength, serviceMs: number): void {
    const { host, responseEdits } = this;
    this.response = head;
    this.responseCode = head.status;
    this.responseDetails = "via_upstream";
    this.responseStartMs = this.elapsed();
    this.#touch();
    responseEdits.attach(head);
    if (this.#setCookie !== undefined) responseEdits.append("set-cookie", this.#setCookie);
    const lines = upstreamLines(head, host, serviceMs);
    if (host.spec.alwaysSetRequestIdInResponse) responseEdits.set("x-request-id", this.requestId);
    const edits = this.weighted?.responseEdits;
    if (edits !== undefined && !edits.empty) edits.apply(responseEdits, this.resolve);
    this.#filterResponse();
    this.#responseStarted = true;
    if (this.#upgrade !== undefined) {
      if (head.status === 101) {
        this.#startTunnel(head, lines);
        return;
      }
      // What the client may have sent for the tunnel must not be read as a request.
      this.server.closeAfterResponse();
    }
    if (head.status === 204) head.dropKnown(K["content-length"]);
    this.server.sendHead(head.status, head, responseEdits, lines, length);
  }

  #startTunnel(head: Http1Head, lines: string): void {
    this.#tunnel = true;
    this.forward?.becomeTunnel();
    const upgrade = `connection: upgrade\r\nupgrade: ${head.knownText(K.upgrade) ?? this.#upgrade ?? ""}\r\n`;
    this.server.sendUpgrade(head, this.responseEdits, lines + upgrade);
  }

  forwardBody(bytes: Buffer, start: number, end: number): void {
    this.bytesSent += end - start;
    this.#touch();
    this.server.sendBody(bytes, start, end);
    if (this.server.congested) this.forward?.throttle(true);
  }

  forwardEnd(trailers: string): void {
    this.responseTrailers = trailers;
    this.#finish();
    this.server.sendEnd(trailers);
  }

  forwardTunnelEnd(): void {
    this.server.finishTunnel();
  }

  forwardFailed(reply: LocalReply): void {
    if (reply.transportFailure !== undefined) this.transportFailure = reply.transportFailure.replaceAll(" ", "_");
    if (this.#tunnel) {
      this.#finish();
      this.server.sendEnd("");
    } else this.localReply(reply);
  }

  // ------------------------------------------------------------------ local replies

  localReply(reply: LocalReply): void {
    if (this.#done) return;
    this.forward?.cancel();
    if (reply.flag !== "") this.addFlag(reply.flag);
    this.responseDetails = reply.details;
    if (this.#responseStarted) {
      this.#finish();
      this.server.abort();
      return;
    }
    const { host, responseEdits, server } = this;
    const { status, body } = localResponse(this, reply);
    this.responseCode = status;
    if (host.spec.alwaysSetRequestIdInResponse) responseEdits.set("x-request-id", this.requestId);
    this.#filterResponse();
    this.#responseStarted = true;
    let lines = host.dateLine() + host.serverLine;
    if (body.length > 0 && responseEdits.textOf("content-type") === undefined) lines += "content-type: text/plain\r\n";
    // As Envoy: after a bad request nothing on the connection is trusted.
    if (this.#upgrade !== undefined || this.head.isConnect || reply.status === 400) server.closeAfterResponse();
    const bodiless = status === 204 || status === 304;
    server.sendHead(status, undefined, responseEdits, lines, bodiless ? "none" : body.length);
    if (!bodiless && body.length > 0) {
      server.sendBody(body, 0, body.length);
      if (!this.head.isHead) this.bytesSent += body.length;
    }
    this.#finish();
    server.sendEnd("");
  }

  // ------------------------------------------------------------------ end

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#idleTimer?.cancel();
    this.cancelTimers();
    this.durationMs = this.elapsed();
    const { host } = this;
    for (const filter of host.filters) {
      try {
        filter.onDone?.(this);
      } catch (error) {
        host.context.io.onDefect(error);
      }
    }
    if (!host.log.empty) host.log.write(this.log);
    host.ended(this.responseCode);
    const { heads } = host.context;
    if (this.response !== undefined) heads.give(this.response);
    heads.give(this.head);
  }
}
