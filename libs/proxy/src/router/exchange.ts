import type { CompiledWeightedCluster, ForwardSpec, PeerFacts, RouteMatch } from "@lateen/traffic";
import { redirectLocation } from "@lateen/traffic";
import { grpcStatusOf, replies } from "../chain/replies.ts";
import type { Exchange, ExchangeSummary, HeadEdits, LocalReply } from "../chain/spi.ts";
import type { ClusterSpec, EndpointSpec, WorkloadFacts } from "../config/plan.ts";
import { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { BodyLength, ServerConnection, ServerStream } from "../http1/server-connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { Endpoint } from "../upstream/endpoint.ts";
import type { ExchangeHost } from "./exchange-host.ts";
import { ExchangeLog } from "./exchange-log.ts";
import { Forward, type ForwardOwner } from "./forward.ts";
import { Mirror } from "./mirror.ts";
import { applyPathRules, type PreparedRequest, prepareRequest } from "./request-head.ts";
import { steer } from "./steering.ts";

const NOBODY = Buffer.alloc(0);

/**
 * One request and its response, from the head to the log line.
 * ## rules → filters (may wait) → route → forward | local reply → response → done
 * Objects are made per request and never reused, so that a late callback can do no harm; only heads return to their pool.
 */
export class HttpExchange implements Exchange, ExchangeSummary, ServerStream, ForwardOwner, PreparedRequest {
  readonly host: ExchangeHost;
  readonly server: ServerConnection;
  readonly head: Http1Head;
  readonly info: ConnectionInfo;
  readonly requestEdits: EditList;
  readonly responseEdits = new EditList();
  readonly startTimeMs: number;
  readonly startedMs: number;
  response: Http1Head | undefined = undefined;
  remoteAddress = "";
  requestId = "";
  peerWorkload: WorkloadFacts | undefined = undefined;
  /** Body bytes from and to the client. */
  bytesReceived = 0;
  bytesSent = 0;
  responseCode = 0;
  responseDetails = "";
  responseFlags = "";
  transportFailure = "";
  responseTrailers = "";
  requestEndMs: number | undefined = undefined;
  responseStartMs: number | undefined = undefined;
  match: RouteMatch | undefined = undefined;
  forward: Forward | undefined = undefined;
  #weighted: CompiledWeightedCluster | undefined = undefined;
  #cluster: Cluster | undefined = undefined;
  #upgrade: string | undefined = undefined;
  #filterIndex = 0;
  #waiting = false;
  #states: Map<object, unknown> | undefined = undefined;
  #timers: WheelTimer[] | undefined = undefined;
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
  #log: ExchangeLog | undefined = undefined;

  constructor(host: ExchangeHost, server: ServerConnection, head: Http1Head, info: ConnectionInfo) {
    const { wheel } = host.context.io;
    this.host = host;
    this.server = server;
    this.head = head;
    this.info = info;
    this.requestEdits = new EditList(head);
    this.startTimeMs = wheel.wallNow();
    this.startedMs = wheel.now();
  }

  // ------------------------------------------------------------------ request head

  begin(): void {
    const { head, host } = this;
    const path = applyPathRules(head, host.spec, this.info.destinationPort);
    prepareRequest(this, host.rules);
    if (head.authorityStart === head.authorityEnd) return this.localReply(replies.missingHost);
    if (path === "reject") return this.localReply(replies.pathNormalisationFailed);
    if (path !== "ok") return this.localReply(replies.escapedSlashRedirect(path.redirect));
    this.#match();
    if (!this.#acceptUpgrade()) return this.localReply(replies.upgradeFailed);
    this.#armTimers();
    this.#runFilters();
  }

  #match(): void {
    const { random, plan } = this.host.context;
    this.match = this.host.routes()?.match(this.head, random, this.info.secure ? "https" : "http");
    if (this.match?.route.action.kind !== "forward") return;
    this.#weighted = this.match.route.pickCluster(random);
    this.#cluster = plan.cluster(this.#weighted.cluster);
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
      this.#requestTimer = context.io.wheel.timer(() => this.localReply(replies.requestTimeout));
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

  // ------------------------------------------------------------------ filters

  #runFilters(): void {
    const { filters } = this.host;
    while (this.#filterIndex < filters.length) {
      const filter = filters[this.#filterIndex++];
      const verdict = filter?.onRequestHead?.(this) ?? "continue";
      if (this.#done) return;
      if (verdict === "wait") {
        this.#waiting = true;
        return;
      }
      if (verdict === "replied") return;
    }
    this.#act();
  }

  resume(): void {
    if (!this.#waiting || this.#done) return;
    this.#waiting = false;
    this.#runFilters();
  }

  // ------------------------------------------------------------------ the route's action

  #act(): void {
    const { match } = this;
    if (match === undefined) return this.localReply(replies.routeNotFound);
    const { action } = match.route;
    switch (action.kind) {
      case "forward":
        return this.#forward(action);
      case "redirect": {
        const redirect = redirectLocation(match.route, this.head, this.info.secure ? "https" : "http");
        if (redirect === undefined) return this.localReply(replies.routeNotFound);
        match.route.responseEdits.apply(this.responseEdits, this.#resolve);
        return this.localReply(replies.redirect(redirect.status, redirect.location));
      }
      case "direct":
        match.route.responseEdits.apply(this.responseEdits, this.#resolve);
        return this.localReply(replies.direct(action.status, action.body));
    }
  }

  #forward(action: ForwardSpec): void {
    const cluster = this.#cluster;
    const weighted = this.#weighted;
    if (cluster === undefined || weighted === undefined) {
      return this.localReply(replies.clusterNotFound(action.clusterNotFoundStatus));
    }
    const { head, requestEdits } = this;
    const forwarding = steer(head, action);
    if (forwarding.timeoutMs > 0) requestEdits.set("x-envoy-expected-rq-timeout-ms", String(forwarding.timeoutMs));
    this.#rewrite(weighted);
    const { cluster: spec } = { cluster: cluster.spec };
    const { destinationAddress, destinationPort } = this.info;
    const choices = forwarding.retry?.hostSelectionMaxAttempts ?? 1;
    const forward = new Forward(this, {
      head,
      requestEdits,
      cluster,
      pick: (tried) =>
        spec.discovery === "originalDst"
          ? cluster.originalDestination(destinationAddress, destinationPort)
          : cluster.pick(tried, choices),
      forwarding,
      isHead: head.isHead,
      upgrade: this.#upgrade,
      attemptCount: this.match?.virtualHost.spec.includeAttemptCount ?? false,
    });
    this.forward = forward;
    if (action.mirrors.length > 0 && this.#upgrade === undefined) forward.mirrors = this.#mirrors(action);
    forward.start();
    if (this.#done) return;
    this.#passHeldBody(forward);
  }

  /** Header edits of the route, then authority and path; the path that was asked for is told upstream. */
  #rewrite(weighted: CompiledWeightedCluster): void {
    const { head, requestEdits } = this;
    if (!weighted.requestEdits.empty) weighted.requestEdits.apply(requestEdits, this.#resolve);
    const rewrite = this.match?.route.rewrite;
    if (rewrite !== undefined) {
      const original = head.pathText;
      const path = rewrite(head);
      requestEdits.path(path.startsWith("/") ? path : `/${path}`);
      requestEdits.set("x-envoy-original-path", original);
    }
    if (weighted.hostRewrite !== undefined) {
      const original = head.authorityText;
      requestEdits.authority(weighted.hostRewrite);
      if (original !== weighted.hostRewrite) requestEdits.set("x-envoy-original-host", original);
    }
  }

  #mirrors(action: ForwardSpec): readonly Mirror[] {
    const { plan, random } = this.host.context;
    return action.mirrors.flatMap((spec) => {
      if (spec.fraction < 1 && random() >= spec.fraction) return [];
      const cluster = plan.cluster(spec.cluster);
      const endpoint = cluster?.pick();
      if (cluster === undefined || endpoint === undefined) return [];
      const { timeoutMs } = action;
      const mirror = new Mirror(this.head, { cluster, endpoint, lines: this.requestEdits.lines(), timeoutMs });
      mirror.start();
      return [mirror];
    });
  }

  readonly #resolve = (operator: Parameters<ExchangeHost["operator"]>[0]): string => {
    const value = this.host.operator(operator)(this.log);
    return value === undefined ? "" : String(value);
  };

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
    if (this.bytesReceived > 0) this.requestEndMs = this.elapsed();
    else this.requestEndMs = 0;
    this.forward?.onRequestEnd(trailers);
  }

  /** What came while filters were asked. */
  #passHeldBody(forward: Forward): void {
    const held = this.#heldBody;
    this.#heldBody = undefined;
    if (held !== undefined) for (const chunk of held) forward.onRequestBody(chunk, 0, chunk.length);
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
    this.addFlag(reason === "protocol" ? "DPE" : "DC");
    if (this.responseDetails === "" || this.responseCode === 0) {
      this.responseDetails = reason === "protocol" ? "http1.codec_error" : "downstream_remote_disconnect";
    }
    this.#finish();
  }

  // ------------------------------------------------------------------ response

  beforeAttempt(endpoint: Endpoint): void {
    void endpoint;
    for (const filter of this.host.filters) filter.onUpstream?.(this);
  }

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
    let lines = this.#serverAndDate(head);
    head.dropKnown(K["x-envoy-upstream-service-time"]);
    lines += `x-envoy-upstream-service-time: ${Math.floor(serviceMs)}\r\n`;
    if (host.spec.alwaysSetRequestIdInResponse) responseEdits.set("x-request-id", this.requestId);
    const edits = this.#weighted?.responseEdits;
    if (edits !== undefined && !edits.empty) edits.apply(responseEdits, this.#resolve);
    this.#filterResponse();
    this.#responseStarted = true;
    if (this.#upgrade !== undefined) {
      if (head.status === 101) return this.#startTunnel(head, lines);
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

  #serverAndDate(head: Http1Head): string {
    const { host } = this;
    let lines = head.has(K.date) ? "" : host.dateLine();
    switch (host.spec.serverHeader) {
      case "overwrite":
        head.dropKnown(K.server);
        lines += host.serverLine;
        break;
      case "appendIfAbsent":
        if (!head.has(K.server)) lines += host.serverLine;
        break;
      case "passThrough":
        break;
    }
    return lines;
  }

  /** Responses go through the filters in reverse. */
  #filterResponse(): void {
    const { filters } = this.host;
    for (let i = filters.length - 1; i >= 0; i--) filters[i]?.onResponseHead?.(this);
  }

  forwardBody(bytes: Buffer, start: number, end: number): void {
    this.bytesSent += end - start;
    this.#touch();
    this.server.sendBody(bytes, start, end);
    if (this.server.connection.congested) this.forward?.throttle(true);
  }

  forwardEnd(trailers: string): void {
    this.responseTrailers = trailers;
    if (this.#tunnel) {
      this.#endTunnel();
      return;
    }
    this.#finish();
    this.server.sendEnd(trailers);
  }

  forwardTunnelEnd(): void {
    this.server.connection.finish();
  }

  #endTunnel(): void {
    this.#finish();
    this.server.sendEnd("");
  }

  forwardFailed(reply: LocalReply): void {
    const detail = /transport failure reason: (.*)$/.exec(reply.body)?.[1];
    if (detail !== undefined) this.transportFailure = detail.replaceAll(" ", "_");
    if (this.#tunnel) {
      this.#endTunnel();
      return;
    }
    this.localReply(reply);
  }

  // ------------------------------------------------------------------ local replies

  localReply(reply: LocalReply): void {
    if (this.#done) return;
    this.forward?.cancel();
    if (reply.flag !== "") this.addFlag(reply.flag);
    if (this.#responseStarted) {
      this.responseDetails = reply.details;
      this.#finish();
      this.server.abort();
      return;
    }
    const { host, responseEdits } = this;
    const grpc = this.isGrpc;
    this.responseCode = grpc ? 200 : reply.status;
    this.responseDetails = reply.details;
    for (const [name, value] of reply.headers ?? []) responseEdits.set(name, value);
    if (grpc) {
      responseEdits.set("grpc-status", String(reply.grpcStatus ?? grpcStatusOf(reply.status)));
      if (reply.body !== "") responseEdits.set("grpc-message", percentEncoded(reply.body));
    }
    if (host.spec.alwaysSetRequestIdInResponse) responseEdits.set("x-request-id", this.requestId);
    this.#filterResponse();
    this.#responseStarted = true;
    const body = grpc || reply.body === "" ? NOBODY : Buffer.from(reply.body, "utf8");
    let lines = host.dateLine() + host.serverLine;
    if (grpc) lines += "content-type: application/grpc\r\n";
    else if (body.length > 0 && responseEdits.textOf("content-type") === undefined) {
      lines += "content-type: text/plain\r\n";
    }
    if (this.#upgrade !== undefined) this.server.closeAfterResponse();
    const bodiless = this.responseCode === 204 || this.responseCode === 304;
    this.server.sendHead(this.responseCode, undefined, responseEdits, lines, bodiless ? "none" : body.length);
    if (!bodiless && body.length > 0) {
      this.server.sendBody(body, 0, body.length);
      if (!this.head.isHead) this.bytesSent += body.length;
    }
    this.#finish();
    this.server.sendEnd("");
  }

  // ------------------------------------------------------------------ end

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#idleTimer?.cancel();
    this.#requestTimer?.cancel();
    if (this.#timers !== undefined) for (const timer of this.#timers) timer.cancel();
    this.durationMs = this.elapsed();
    const { host } = this;
    for (const filter of host.filters) filter.onDone?.(this);
    if (!host.log.empty) host.log.write(this.log);
    host.ended(this.responseCode);
    const { heads } = host.context;
    if (this.response !== undefined) heads.give(this.response);
    heads.give(this.head);
  }

  durationMs = 0;

  /** Milliseconds since the head arrived. */
  elapsed(): number {
    return this.host.context.io.wheel.now() - this.startedMs;
  }

  /** The exchange as logs and operators read it. */
  get log(): ExchangeLog {
    this.#log ??= new ExchangeLog(this);
    return this.#log;
  }

  // ------------------------------------------------------------------ what filters see

  get request(): Http1Head {
    return this.head;
  }

  get summary(): ExchangeSummary {
    return this;
  }

  get direction(): "inbound" | "outbound" | "unspecified" {
    return this.host.chain.direction;
  }

  get peer(): PeerFacts {
    const { info } = this;
    return {
      principal: info.peer?.principal,
      sourceAddress: info.sourceAddress,
      remoteAddress: this.remoteAddress,
      destinationAddress: info.destinationAddress,
      destinationPort: info.destinationPort,
      serverName: info.serverName,
    };
  }

  routeConfig(filter: string): unknown {
    return this.match?.route.filterConfig(filter, this.match.virtualHost);
  }

  state(filter: object): unknown {
    return this.#states?.get(filter);
  }

  setState(filter: object, value: unknown): void {
    this.#states ??= new Map();
    this.#states.set(filter, value);
  }

  after(ms: number, callback: () => void): void {
    if (this.#done) return;
    const timer = this.host.context.io.wheel.timer(callback);
    this.#timers ??= [];
    this.#timers.push(timer);
    timer.arm(ms);
  }

  addFlag(flag: string): void {
    if (this.responseFlags === "") this.responseFlags = flag;
    else if (!this.responseFlags.split(",").includes(flag)) this.responseFlags += `,${flag}`;
  }

  get isGrpc(): boolean {
    return this.head.knownText(K["content-type"])?.startsWith("application/grpc") ?? false;
  }

  get grpcStatus(): number {
    const text =
      /^grpc-status:[ \t]*([0-9]+)/im.exec(this.responseTrailers)?.[1] ?? this.responseEdits.textOf("grpc-status");
    return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : -1;
  }

  get requestBytes(): number {
    return this.head.length + this.bytesReceived;
  }

  get responseBytes(): number {
    return (this.response?.length ?? 0) + this.bytesSent + this.responseTrailers.length;
  }

  get clusterName(): string {
    return this.#weighted?.cluster ?? "";
  }

  get cluster(): ClusterSpec | undefined {
    return this.#cluster?.spec;
  }

  get endpoint(): EndpointSpec | undefined {
    return this.forward?.endpoint?.spec;
  }

  get upstreamMutualTls(): boolean {
    return this.forward?.endpoint?.mutualTls ?? false;
  }

  get upstreamPrincipal(): string | undefined {
    return this.forward?.endpoint?.pool.peerPrincipal;
  }
}

/** `grpc-message` is percent-encoded. @see gRPC over HTTP/2, Responses */
function percentEncoded(text: string): string {
  return encodeURIComponent(text).replace(/%20/g, " ");
}

/** Edits of responses and requests are the same thing to filters. */
export type ExchangeEdits = HeadEdits;
