import type { ForwardSpec } from "@lateen/traffic";
import { replies } from "../chain/replies.ts";
import type {
  BodyTransform,
  BodyTransformSink,
  CollectedBody,
  Exchange,
  HttpFilter,
  LocalReply,
} from "../chain/spi.ts";
import type { BodyLength, Downstream, ServerStream } from "../http/streams.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { Connection } from "../io/connection.ts";
import type { LentTimer, TimerUser, WheelTimer } from "../io/timer-wheel.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import type { OpenSpan } from "../tracing/tracer.ts";
import type { ExchangeHost } from "./exchange-host.ts";
import { ExchangeState } from "./exchange-state.ts";
import { Forward, type ForwardOwner } from "./forward.ts";
import { HeldBody } from "./held-body.ts";
import { applyPathRules, headRefusal, type PreparedRequest, prepareRequest } from "./request-head.ts";
import { localResponse, ownAnswer, upstreamLines } from "./response-lines.ts";
import { steer, streamLimitMs, tellTimeouts } from "./steering.ts";
import { upgradeOf } from "./upgrade.ts";
import { editedHead, hashOf, picker, rewriteRequest, startMirrors } from "./upstream-request.ts";

/**
 * One request and its response, from the head to the log line.
 * ## rules → filters (may wait) → route → forward | local reply → response (→ tunnel) → done
 * Objects are made per request and never reused, so that a late callback can do no harm; only heads return to their pool.
 */
export class HttpExchange
  extends ExchangeState
  implements Exchange, ServerStream, ForwardOwner, PreparedRequest, TimerUser
{
  #upgrade: string | undefined = undefined;
  /** Of a hash policy that had to make its cookie. */
  #setCookie: string | undefined = undefined;
  #filterIndex = 0;
  #waiting = false;
  #idleTimer: LentTimer | undefined = undefined;
  #idleMs = 0;
  #activeMs = 0;
  #requestTimer: WheelTimer | undefined = undefined;
  #requestDone = false;
  #requestTrailers = "";
  #held: HeldBody | undefined = undefined;
  #resumed = false;
  #filters: readonly HttpFilter[];
  #transform: BodyTransform | undefined = undefined;
  #trailersAfterTransform = "";
  #responseStarted = false;
  #tunnel = false;
  #done = false;
  #span: OpenSpan | undefined = undefined;

  constructor(host: ExchangeHost, server: Downstream, head: Http1Head, info: ConnectionInfo) {
    super(host, server, head, info);
    this.#filters = host.filters;
  }

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
    const refusal = headRefusal(head, host.spec);
    if (refusal !== undefined) return refusal;
    if (path === "reject") return replies.pathNormalisationFailed;
    if (path !== "ok") return replies.escapedSlashRedirect(path.redirect);
    this.#match(head);
    this.#span = host.tracer?.begin(this, this.match?.route.spec.decorator);
    // No route is one for CONNECT here: those with a matcher for it are refused as configuration.
    if (head.isConnect) return replies.routeNotFound;
    const upgrade = upgradeOf(head, host.spec, this.match?.route.action);
    if (typeof upgrade === "object") this.#upgrade = upgrade.protocol;
    return upgrade === "refused" ? replies.upgradeFailed : undefined;
  }

  #match(head: Http1Head): void {
    const { random, plan } = this.host.context;
    const scheme = this.info.secure ? "https" : "http";
    this.match = this.host.routes()?.match(head, random, scheme, this.dynamicMetadata);
    this.weighted = undefined;
    this.target = undefined;
    this.#filters = this.host.filtersFor(this.match);
    if (this.match?.route.action.kind !== "forward") return;
    this.weighted = this.match.route.pickCluster(random);
    this.target = plan.cluster(this.weighted.cluster);
  }

  // ------------------------------------------------------------------ time

  #armTimers(): void {
    const { spec, context } = this.host;
    const action = this.match?.route.action;
    const routeIdle = action?.kind === "forward" ? action.idleTimeoutMs : undefined;
    const streamLimit = action?.kind === "forward" ? streamLimitMs(this.head, action) : 0;
    if (streamLimit > 0) this.ownTimer(() => this.localReply(replies.streamDuration)).arm(streamLimit);
    this.#idleMs = routeIdle ?? spec.streamIdleTimeoutMs;
    if (this.#idleMs > 0) {
      this.#activeMs = this.startedMs;
      this.#idleTimer = context.io.wheel.lend(this, this.#idleMs);
    }
    if (spec.requestTimeoutMs > 0 && !this.server.requestDone) {
      this.#requestTimer = this.ownTimer(() => this.localReply(replies.requestTimeout));
      this.#requestTimer.arm(spec.requestTimeoutMs);
    }
  }

  /** The idle timer. */
  onTimer(): void {
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
    // The list may change when a filter has the route chosen again: those that ran keep their places.
    while (this.#filterIndex < this.#filters.length) {
      const filter = this.#filters[this.#filterIndex++];
      this.#resumed = false;
      const verdict = filter?.onRequestHead?.(this) ?? "continue";
      if (this.#done || verdict === "replied") return;
      if (verdict === "wait" && !this.#resumed) {
        this.#waiting = true;
        return;
      }
    }
    this.#act();
  }

  resume(): void {
    this.#resumed = true;
    if (!this.#waiting || this.#done) return;
    this.#waiting = false;
    try {
      this.#runFilters();
    } catch (error) {
      this.#failClosed(error);
    }
  }

  beforeAttempt(): void {
    for (const filter of this.#filters) filter.onUpstream?.(this);
  }

  /** Responses go through the filters in reverse. */
  #filterResponse(): void {
    const filters = this.#filters;
    for (let i = filters.length - 1; i >= 0; i--) filters[i]?.onResponseHead?.(this);
  }

  rematch(): void {
    if (this.forward !== undefined || this.#done) return;
    const { heads } = this.host.context;
    const edited = editedHead(heads, this.head, this.requestEdits);
    this.#match(edited ?? this.head);
    if (edited !== undefined) heads.give(edited);
  }

  readBody(maxBytes: number, done: (body: CollectedBody) => void): void {
    this.#held ??= new HeldBody();
    this.#held.collect(maxBytes, done);
    const complete = this.#requestDone || this.server.requestDone;
    if (complete || this.#held.full) this.#tellCollector(complete);
    else this.server.throttle(false);
  }

  #tellCollector(complete: boolean): void {
    try {
      this.#held?.tell(complete);
    } catch (error) {
      this.#failClosed(error);
    }
  }

  transformResponse(make: (sink: BodyTransformSink) => BodyTransform): void {
    if (this.#responseStarted || this.#transform !== undefined) return;
    this.response?.dropKnown(K["content-length"]);
    this.responseLength = "unknown";
    this.#transform = make({
      data: (bytes) => this.#sendBody(bytes, 0, bytes.length),
      drain: () => {
        if (!this.server.congested) this.forward?.throttle(false);
      },
      end: () => this.#responseEnded(this.#trailersAfterTransform),
      fail: (error) => {
        this.host.context.io.onDefect(error);
        if (this.#done) return;
        this.#finish();
        this.server.abort();
      },
    });
  }

  // ------------------------------------------------------------------ the route's action

  #act(): void {
    const action = this.match?.route.action;
    if (action?.kind === "forward") {
      this.#forward(action);
      return;
    }
    const answer = ownAnswer(this);
    if (answer !== undefined) this.localReply(answer);
  }

  #forward(action: ForwardSpec): void {
    const { head, requestEdits, target, weighted, info } = this;
    if (target === undefined || weighted === undefined) {
      this.localReply(replies.clusterNotFound(action.clusterNotFoundStatus), true);
      return;
    }
    const forwarding = steer(head, action);
    tellTimeouts(head, requestEdits, action, forwarding);
    const asked = target.spec.discovery === "dynamicForward" ? head.authorityText : "";
    rewriteRequest(this, weighted, action);
    const made = hashOf(this);
    this.#setCookie = made?.setCookie;
    const forward = new Forward(this, {
      head,
      requestEdits,
      cluster: target,
      pick: picker(target, { info, asked, retry: forwarding.retry, hash: made?.hash }),
      forwarding,
      isHead: head.isHead,
      upgrade: this.#upgrade,
      http2: head.major === 2,
      secure: this.secure,
      info,
      high: action.highPriority === true,
      attemptCount: this.match?.virtualHost.spec.includeAttemptCount ?? false,
      startedMs: this.startedMs,
    });
    this.forward = forward;
    if (action.mirrors.length > 0 && this.#upgrade === undefined) forward.mirrors = startMirrors(this, action);
    forward.start();
    if (!this.#done) this.#passHeldBody(forward);
  }

  // ------------------------------------------------------------------ request body

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    this.bytesReceived += end - start;
    this.#touch();
    const { bodyWatchers } = this.host;
    if (bodyWatchers) for (const filter of this.#filters) filter.onRequestBody?.(this, bytes, start, end);
    if (this.forward !== undefined) {
      this.forward.onRequestBody(bytes, start, end);
      return;
    }
    this.#held ??= new HeldBody();
    if (!this.#held.hold(bytes, start, end)) return;
    this.server.throttle(true);
    if (this.#held.full) this.#tellCollector(false);
  }

  onRequestEnd(trailers: string): void {
    this.#requestDone = true;
    this.#requestTrailers = trailers;
    this.#requestTimer?.cancel();
    this.requestEndMs = this.bytesReceived > 0 ? this.elapsed() : 0;
    if (this.#held?.collecting === true) this.#tellCollector(true);
    else this.forward?.onRequestEnd(trailers);
  }

  /** What came while filters were asked. */
  #passHeldBody(forward: Forward): void {
    const held = this.#held?.take();
    this.#held = undefined;
    if (held !== undefined && held.length > 0) {
      for (const chunk of held) forward.onRequestBody(chunk, 0, chunk.length);
      if (!this.#requestDone) forward.askForMore();
    }
    if (this.#requestDone) forward.onRequestEnd(this.#requestTrailers);
  }

  onTunnelEnd(): void {
    this.forward?.finishTunnel();
  }

  onDownstreamCongested(): void {
    this.forward?.throttle(true);
  }

  onDownstreamDrain(): void {
    if (this.#transform?.congested !== true) this.forward?.throttle(false);
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
    this.serviceMs = Math.floor(serviceMs);
    this.#touch();
    responseEdits.attach(head);
    if (this.#setCookie !== undefined) responseEdits.append("set-cookie", this.#setCookie);
    const lines = upstreamLines(head, host, this.serviceMs);
    if (host.spec.alwaysSetRequestIdInResponse) responseEdits.set("x-request-id", this.requestId);
    this.editAnswer();
    this.responseLength = length;
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
    this.server.sendHead(head.status, head, responseEdits, lines, this.responseLength);
  }

  #startTunnel(head: Http1Head, lines: string): void {
    this.#tunnel = true;
    this.forward?.becomeTunnel();
    const upgrade = `connection: upgrade\r\nupgrade: ${head.knownText(K.upgrade) ?? this.#upgrade ?? ""}\r\n`;
    this.server.sendUpgrade(head, this.responseEdits, lines + upgrade);
  }

  forwardBody(bytes: Buffer, start: number, end: number): void {
    this.#touch();
    if (this.host.bodyWatchers) for (const filter of this.#filters) filter.onResponseBody?.(this, bytes, start, end);
    const transform = this.#transform;
    if (transform === undefined) {
      this.#sendBody(bytes, start, end);
      return;
    }
    transform.write(bytes, start, end);
    if (transform.congested) this.forward?.throttle(true);
  }

  spliceTarget(): Connection | undefined {
    if (this.#done || !this.#responseStarted || this.#transform !== undefined || this.host.bodyWatchers)
      return undefined;
    return this.server.spliceTarget?.();
  }

  forwardSpliced(bytes: number): void {
    this.#touch();
    this.bytesSent += bytes;
  }

  #sendBody(bytes: Buffer, start: number, end: number): void {
    if (this.#done) return;
    this.bytesSent += end - start;
    this.server.sendBody(bytes, start, end);
    if (this.server.congested) this.forward?.throttle(true);
  }

  forwardEnd(trailers: string): void {
    if (this.#transform === undefined) {
      this.#responseEnded(trailers);
      return;
    }
    this.#trailersAfterTransform = trailers;
    this.#transform.end();
  }

  #responseEnded(trailers: string): void {
    if (this.#done) return;
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
    } else this.localReply(reply, true);
  }

  // ------------------------------------------------------------------ local replies

  /** @param routed in place of an upstream: it gets the headers that its answers would have got, as from Envoy's router. */
  localReply(reply: LocalReply, routed = false): void {
    if (this.#done) return;
    if (routed) this.editAnswer();
    this.reply = reply;
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
    const bodiless = status === 204 || status === 304 || (body.length === 0 && this.head.isHead);
    this.responseLength = bodiless ? "none" : body.length;
    const lines = host.dateLine() + host.serverLine;
    if (body.length > 0 && responseEdits.textOf("content-type") === undefined) {
      responseEdits.set("content-type", "text/plain");
    }
    this.#filterResponse();
    this.#responseStarted = true;
    // As Envoy: after a bad request nothing on the connection is trusted.
    if (this.#upgrade !== undefined || this.head.isConnect || reply.status === 400) server.closeAfterResponse();
    server.sendHead(status, undefined, responseEdits, lines, this.responseLength);
    if (this.#transform !== undefined) {
      this.#transform.write(body, 0, body.length);
      this.#transform.end();
      return;
    }
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
    this.#idleTimer?.giveBack(this);
    this.#idleTimer = undefined;
    this.cancelTimers();
    this.durationMs = this.elapsed();
    const { host } = this;
    this.#transform?.destroy();
    this.#held = undefined;
    for (const filter of this.#filters) {
      try {
        filter.onDone?.(this);
      } catch (error) {
        host.context.io.onDefect(error);
      }
    }
    if (this.#span !== undefined) host.tracer?.end(this, this.#span, this.match?.route.spec.decorator);
    if (!host.log.empty) host.log.write(this.log);
    host.ended(this);
    const { heads } = host.context;
    if (this.response !== undefined) heads.give(this.response);
    heads.give(this.head);
  }
}
