import type { HealthCheckSpec } from "../config/plan.ts";
import type { BodyLength, ClientStream, ResetReason, Upstream } from "../http/streams.ts";
import { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { parseRequestHead } from "../http1/parse-head.ts";
import type { Connection } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { connectEndpoint } from "./connect.ts";
import type { Endpoint } from "./endpoint.ts";
import type { PoolUser, RequestPool } from "./request-pool.ts";

/** Outcome of one question. `ill`: it said so itself, which needs no second time. */
export type Health = "well" | "failed" | "ill" | "unknown";

/**
 * Asks one endpoint again and again whether it is well, and keeps `failedCheck` of it. One worker asks for all of them.
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/health_checking
 */
export class EndpointCheck {
  readonly #endpoint: Endpoint;
  readonly #spec: HealthCheckSpec;
  readonly #changed: () => void;
  readonly #timer: WheelTimer;
  #probe: Probe | undefined = undefined;
  /** Outcomes in a row that speak against the present state. */
  #against = 0;

  constructor(endpoint: Endpoint, spec: HealthCheckSpec, changed: () => void) {
    this.#endpoint = endpoint;
    this.#spec = spec;
    this.#changed = changed;
    this.#timer = endpoint.cluster.context.io.wheel.timer(() => this.#ask());
    this.#timer.arm(spec.initialJitterMs * endpoint.cluster.context.random());
  }

  stop(): void {
    this.#timer.cancel();
    this.#probe?.stop();
    this.#probe = undefined;
  }

  #ask(): void {
    const { ask, timeoutMs } = this.#spec;
    const done = (health: Health): void => {
      this.#probe = undefined;
      this.#judge(health);
    };
    this.#probe =
      ask.kind === "tcp"
        ? new TcpProbe(this.#endpoint, ask, timeoutMs, done)
        : new HttpProbe(this.#endpoint, ask, timeoutMs, done);
    this.#probe.start();
  }

  #judge(health: Health): void {
    const endpoint = this.#endpoint;
    const { unhealthyThreshold, healthyThreshold, ...spec } = this.#spec;
    const wasIll = endpoint.failedCheck;
    if (health === "well") {
      this.#against = wasIll ? this.#against + 1 : 0;
      // The first answer counts at once: a cluster need not wait for the threshold to begin.
      if (wasIll && (!endpoint.judged || this.#against >= healthyThreshold)) endpoint.failedCheck = false;
    } else if (health !== "unknown") {
      this.#against = wasIll ? 0 : this.#against + 1;
      if (!wasIll && (health === "ill" || this.#against >= unhealthyThreshold)) endpoint.failedCheck = true;
    }
    const edge = endpoint.failedCheck !== wasIll;
    const news = edge || (health !== "unknown" && !endpoint.judged);
    if (health !== "unknown") endpoint.judged = true;
    if (news) endpoint.cluster.tellHealth(endpoint);
    if (edge) {
      this.#against = 0;
      this.#changed();
    }
    const used = endpoint.cluster.used;
    const well = used ? (edge ? spec.healthyEdgeMs : spec.intervalMs) : spec.noTrafficMs;
    const interval = endpoint.failedCheck ? (edge ? spec.unhealthyEdgeMs : spec.unhealthyMs) : well;
    const { random } = endpoint.cluster.context;
    this.#timer.arm(interval + random() * (spec.jitterMs + (interval * spec.jitterPercent) / 100));
  }
}

interface Probe {
  start(): void;
  stop(): void;
}

type HttpAsk = Exclude<HealthCheckSpec["ask"], { kind: "tcp" }>;

/** One request over a connection of the endpoint's pool. It is no load of the cluster, and no outlier is judged by it. */
class HttpProbe implements Probe, PoolUser, ClientStream {
  readonly #endpoint: Endpoint;
  readonly #ask: HttpAsk;
  readonly #timer: WheelTimer;
  readonly #pool: RequestPool;
  #done: ((health: Health) => void) | undefined;
  #upstream: Upstream | undefined = undefined;
  #head: Http1Head | undefined = undefined;
  #status = 0;
  #body: Buffer[] = [];
  #bytes = 0;
  #grpcStatus: string | undefined = undefined;

  constructor(endpoint: Endpoint, ask: HttpAsk, timeoutMs: number, done: (health: Health) => void) {
    this.#endpoint = endpoint;
    this.#ask = ask;
    this.#done = done;
    this.#pool = endpoint.poolFor(ask.kind === "grpc" || ask.http2, false);
    this.#timer = endpoint.cluster.context.io.wheel.timer(() => this.#finish("failed"));
    this.#timer.arm(timeoutMs);
  }

  start(): void {
    const upstream = this.#pool.acquire(this, false);
    if (upstream !== undefined) this.onPoolReady(upstream);
  }

  onPoolReady(upstream: Upstream): void {
    this.#upstream = upstream;
    const head = this.#makeHead();
    if (head === undefined) {
      this.#finish("failed");
      return;
    }
    const isHead = head.isHead;
    upstream.begin(this, isHead, false);
    const secure = this.#endpoint.transport.kind === "tls";
    upstream.sendHead({ head, requestEdits: new EditList(), lines: "", upgrade: undefined, secure });
    const body = this.#ask.kind === "grpc" ? grpcRequest(this.#ask.service) : undefined;
    if (body !== undefined) upstream.sendBody(body, 0, body.length);
    upstream.sendEnd("");
  }

  #makeHead(): Http1Head | undefined {
    const ask = this.#ask;
    const [start, host, headers] =
      ask.kind === "grpc"
        ? ["POST /grpc.health.v1.Health/Check", ask.authority, [["content-type", "application/grpc"] as const]]
        : [`${ask.method} ${ask.path}`, ask.host, [["user-agent", "Envoy/HC"] as const, ...ask.headers]];
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const bytes = Buffer.from(`${start} HTTP/1.1\r\nhost: ${host}\r\n${lines}\r\n`, "latin1");
    const head = this.#endpoint.cluster.context.heads.take();
    this.#head = head;
    if (parseRequestHead(bytes, 0, bytes.length, head) !== bytes.length) return undefined;
    head.adopt(bytes, 0);
    head.teTrailers = ask.kind === "grpc";
    return head;
  }

  onPoolFailure(reason: ResetReason): void {
    // The cluster's own limits say nothing of the endpoint.
    this.#finish(reason === "overflow" ? "unknown" : "failed");
  }

  onInterim(): void {}

  onResponseHead(head: Http1Head, _length: BodyLength): boolean {
    this.#status = head.status;
    this.#grpcStatus = head.textOf("grpc-status");
    return false;
  }

  onResponseBody(bytes: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.#ask.kind === "grpc" && this.#bytes < 1024) this.#body.push(Buffer.from(bytes.subarray(start, end)));
  }

  onResponseEnd(trailers: string): void {
    this.#upstream = undefined;
    const ask = this.#ask;
    if (ask.kind === "grpc") {
      const status = this.#grpcStatus ?? /^grpc-status:[ \t]*([0-9]+)/im.exec(trailers)?.[1];
      const serving = this.#status === 200 && status === "0" && isServing(Buffer.concat(this.#body));
      this.#finish(serving ? "well" : "failed");
      return;
    }
    const within = ([from, to]: readonly [number, number]) => this.#status >= from && this.#status < to;
    if (ask.expected.some(within)) this.#finish("well");
    else this.#finish(ask.retriable.some(within) ? "failed" : "ill");
  }

  onUpstreamDrain(): void {}
  onUpstreamTunnelEnd(): void {}

  onUpstreamReset(): void {
    this.#upstream = undefined;
    this.#finish("failed");
  }

  stop(): void {
    this.#done = undefined;
    this.#release();
  }

  #finish(health: Health): void {
    const done = this.#done;
    this.#done = undefined;
    this.#release();
    done?.(health);
  }

  #release(): void {
    this.#timer.cancel();
    const upstream = this.#upstream;
    this.#upstream = undefined;
    if (upstream !== undefined) upstream.cancel();
    else this.#pool.cancel(this);
    if (this.#head !== undefined) this.#endpoint.cluster.context.heads.give(this.#head);
    this.#head = undefined;
  }
}

/** `HealthCheckRequest{service}` with its prefix. @see grpc.health.v1 */
function grpcRequest(service: string): Buffer {
  const name = Buffer.from(service, "utf8").subarray(0, 127);
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** `HealthCheckResponse{status: SERVING}` with its prefix. */
function isServing(body: Buffer): boolean {
  return body.length === 7 && body.readUInt32BE(1) === 2 && body[0] === 0 && body[5] === 0x08 && body[6] === 1;
}

/** More of an answer is not looked at. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** A connection of its own: what is to be sent, what must come back in this order. */
class TcpProbe implements Probe {
  readonly #endpoint: Endpoint;
  readonly #ask: Extract<HealthCheckSpec["ask"], { kind: "tcp" }>;
  readonly #timer: WheelTimer;
  #done: ((health: Health) => void) | undefined;
  #connection: Connection | undefined = undefined;
  #seen = Buffer.alloc(0);

  constructor(
    endpoint: Endpoint,
    ask: Extract<HealthCheckSpec["ask"], { kind: "tcp" }>,
    timeoutMs: number,
    done: (health: Health) => void,
  ) {
    this.#endpoint = endpoint;
    this.#ask = ask;
    this.#done = done;
    this.#timer = endpoint.cluster.context.io.wheel.timer(() => this.#finish("failed"));
    this.#timer.arm(timeoutMs);
  }

  start(): void {
    this.#connection = connectEndpoint(
      this.#endpoint,
      this.#endpoint.dialAddress,
      { speaks: "any" },
      { ready: (connection) => this.#ready(connection), failed: () => this.#finish("failed") },
    );
  }

  #ready(connection: Connection): void {
    this.#connection = connection;
    const { send, receive } = this.#ask;
    connection.handler = {
      onBytes: (bytes, start, end) => this.#read(bytes.subarray(start, end)),
      onEnd: () => this.#finish("failed"),
      onDrain: () => {},
      onClose: () => this.#finish("failed"),
    };
    if (send.length > 0) connection.write(Buffer.from(send), 0, send.length);
    if (receive.length === 0) this.#finish("well");
    else connection.resume();
  }

  #read(bytes: Buffer): void {
    this.#seen = Buffer.concat([this.#seen, bytes]).subarray(0, MAX_ANSWER_BYTES);
    let at = 0;
    for (const part of this.#ask.receive) {
      const found = this.#seen.indexOf(part, at);
      if (found < 0) return;
      at = found + part.length;
    }
    this.#finish("well");
  }

  stop(): void {
    this.#done = undefined;
    this.#timer.cancel();
    this.#connection?.destroy();
  }

  #finish(health: Health): void {
    const done = this.#done;
    this.stop();
    done?.(health);
  }
}
