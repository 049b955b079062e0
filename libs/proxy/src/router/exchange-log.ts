import type { ConnectionLogFacts, HttpProtocol, RequestLogFacts } from "../access-log/facts.ts";
import type { LineBuffer } from "../access-log/line-buffer.ts";
import type { WorkloadFacts } from "../config/plan.ts";
import type { HeaderName } from "../http1/header-name.ts";
import { addressText, type ConnectionInfo } from "../listener/connection-info.ts";
import type { ExchangeState } from "./exchange-state.ts";

const SERVICE_TIME = "x-envoy-upstream-service-time";

/** An exchange as access logs and `%…%` operators read it. Everything is looked up when asked for. */
export class ExchangeLog implements ConnectionLogFacts, RequestLogFacts {
  readonly #exchange: ExchangeState;

  constructor(exchange: ExchangeState) {
    this.#exchange = exchange;
  }

  get request(): RequestLogFacts {
    return this;
  }
  get info(): ConnectionInfo {
    return this.#exchange.info;
  }
  get direction(): "inbound" | "outbound" | "unspecified" {
    return this.#exchange.direction;
  }
  get startTimeMs(): number {
    return this.#exchange.startTimeMs;
  }
  get durationMs(): number {
    return this.#exchange.durationMs || this.#exchange.elapsed();
  }
  get bytesReceived(): number {
    return this.#exchange.bytesReceived;
  }
  get bytesSent(): number {
    return this.#exchange.bytesSent;
  }
  get flags(): string {
    return this.#exchange.responseFlags;
  }
  get terminationDetails(): string {
    return "";
  }
  get upstreamCluster(): string {
    return this.#exchange.clusterName;
  }
  get upstreamHost(): string {
    return this.#exchange.forward?.endpoint?.text ?? "";
  }
  get upstreamLocalAddress(): string {
    const socket = this.#exchange.forward?.client?.connection.socket;
    if (socket?.localAddress === undefined || socket.localPort === undefined) return "";
    return addressText(socket.localAddress, socket.localPort);
  }
  get upstreamFailure(): string {
    return this.#exchange.transportFailure;
  }
  get source(): WorkloadFacts | undefined {
    return this.direction === "inbound" ? this.#exchange.peerWorkload : this.#exchange.host.context.bootstrap.self;
  }
  get destination(): WorkloadFacts | undefined {
    if (this.direction === "inbound") return this.#exchange.host.context.bootstrap.self;
    return this.#exchange.endpoint?.workload ?? this.#exchange.peerWorkload;
  }
  get peerPrincipal(): string {
    const { info, upstreamPrincipal } = this.#exchange;
    return (this.direction === "inbound" ? info.peer?.principal : upstreamPrincipal) ?? "";
  }
  get destinationService(): string {
    return this.#exchange.cluster?.destinationService?.host ?? "";
  }

  get protocol(): HttpProtocol {
    if (this.#exchange.head.major === 2) return "HTTP/2";
    return this.#exchange.head.minor === 0 ? "HTTP/1.0" : "HTTP/1.1";
  }
  get status(): number {
    return this.#exchange.responseCode;
  }
  get details(): string {
    return this.#exchange.responseDetails;
  }
  get grpcStatus(): number {
    return this.#exchange.grpcStatus;
  }
  get totalRequestBytes(): number {
    return this.#exchange.requestBytes;
  }
  get totalResponseBytes(): number {
    return this.#exchange.responseBytes;
  }
  get routeName(): string {
    return this.#exchange.match?.route.spec.name ?? "";
  }
  get requestId(): string {
    return this.#exchange.requestId;
  }
  get remoteAddress(): string {
    return this.#exchange.remoteAddress;
  }
  get attempts(): number {
    return this.#exchange.forward?.attempts ?? 0;
  }
  get requestDurationMs(): number | undefined {
    return this.#exchange.requestEndMs;
  }
  get responseDurationMs(): number | undefined {
    return this.#exchange.responseStartMs;
  }

  requestHeader(name: string): string | undefined {
    const { head, requestEdits } = this.#exchange;
    switch (name) {
      case ":method":
        return head.methodText;
      case ":path":
        return head.pathText;
      case ":authority":
      case "host":
        return head.authorityText;
      case ":scheme":
        return this.#exchange.secure ? "https" : "http";
      default:
        return requestEdits.textOf(name);
    }
  }

  putRequestHeader(name: HeaderName, out: LineBuffer): boolean {
    const { head, requestEdits } = this.#exchange;
    switch (name.pseudo) {
      case "method":
        out.raw(head.bytes, head.methodStart, head.methodEnd);
        return true;
      case "path":
        out.raw(head.bytes, head.pathStart, head.pathEnd);
        return true;
      case "authority":
        out.raw(head.bytes, head.authorityStart, head.authorityEnd);
        return true;
      case "scheme":
        out.text(this.#exchange.secure ? "https" : "http");
        return true;
      case undefined:
        return requestEdits.putValue(name, out);
    }
  }

  responseHeader(name: string): string | undefined {
    const { responseEdits, serviceMs } = this.#exchange;
    if (name === ":status") return String(this.status);
    // Written with the response, without being an edit of its head.
    if (name === SERVICE_TIME && serviceMs >= 0) return String(serviceMs);
    return responseEdits.textOf(name);
  }

  responseTrailer(name: string): string | undefined {
    for (const line of this.#exchange.responseTrailers.split("\r\n")) {
      const colon = line.indexOf(":");
      if (colon > 0 && line.slice(0, colon).toLowerCase() === name) return line.slice(colon + 1).trim();
    }
    return undefined;
  }
}

/** Words of our parser for what Envoy's has but one word for. */
const MORE_EXACT: ReadonlySet<string> = new Set([
  "http1.invalid_method",
  "http1.invalid_url",
  "http1.invalid_version",
  "http1.content_length_invalid",
]);

/** A request that was refused before it could become an exchange: what can be said of it without its head. */
export class RefusedLog implements ConnectionLogFacts, RequestLogFacts {
  readonly protocol: HttpProtocol;
  readonly durationMs = 0;
  readonly bytesReceived = 0;
  readonly bytesSent = 0;
  readonly flags: string;
  readonly terminationDetails = "";
  readonly upstreamCluster = "";
  readonly upstreamHost = "";
  readonly upstreamLocalAddress = "";
  readonly upstreamFailure = "";
  readonly source = undefined;
  readonly destination = undefined;
  readonly destinationService = "";
  readonly routeName = "";
  readonly requestId = "";
  readonly attempts = 0;
  readonly requestDurationMs = undefined;
  readonly responseDurationMs = undefined;
  readonly info: ConnectionInfo;
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly startTimeMs: number;
  readonly status: number;
  readonly details: string;
  /** The parser's own word, where it is more exact than Envoy's. */
  readonly reason: string;

  constructor(
    info: ConnectionInfo,
    direction: "inbound" | "outbound" | "unspecified",
    startTimeMs: number,
    outcome: { readonly status: number; readonly details: string; readonly protocol: HttpProtocol },
  ) {
    this.info = info;
    this.direction = direction;
    this.startTimeMs = startTimeMs;
    this.protocol = outcome.protocol;
    this.status = outcome.status;
    this.reason = outcome.details;
    this.details = MORE_EXACT.has(outcome.details) ? "http1.codec_error" : outcome.details;
    // The request itself was well formed.
    this.flags = outcome.details === "missing_host_header" ? "" : "DPE";
  }

  get request(): RequestLogFacts {
    return this;
  }
  get remoteAddress(): string {
    return this.info.sourceAddress;
  }
  get peerPrincipal(): string {
    return this.info.peer?.principal ?? "";
  }
  requestHeader(): undefined {}
  responseHeader(): undefined {}
  responseTrailer(): undefined {}
}
