import type { SideCall, SideOutcome, SideRequest } from "../chain/spi.ts";
import type { BodyLength, ResetReason, Upstream } from "../http/streams.ts";
import { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { parseRequestHead } from "../http1/parse-head.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { Endpoint } from "../upstream/endpoint.ts";
import type { WorkerContext } from "../worker/state.ts";
import { Attempt, type AttemptOwner } from "./attempt.ts";

/** Asks a cluster on behalf of a filter: one attempt, bounded in time and size. Never calls `done` before it returns. */
export function sideCall(context: WorkerContext, request: SideRequest, done: (outcome: SideOutcome) => void): SideCall {
  const call = new RunningCall(context, request, done);
  call.start();
  return call;
}

class RunningCall implements AttemptOwner, SideCall {
  readonly #context: WorkerContext;
  readonly #request: SideRequest;
  #done: ((outcome: SideOutcome) => void) | undefined;
  #head: Http1Head | undefined = undefined;
  #attempt: Attempt | undefined = undefined;
  #timer: WheelTimer | undefined = undefined;
  #starting = true;
  #status = 0;
  #headers: readonly (readonly [string, string])[] = [];
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #reconnected = false;

  constructor(context: WorkerContext, request: SideRequest, done: (outcome: SideOutcome) => void) {
    this.#context = context;
    this.#request = request;
    this.#done = done;
  }

  start(): void {
    const { plan, io } = this.#context;
    const { timeoutMs, cluster: name } = this.#request;
    const cluster = plan.cluster(name);
    const endpoint = cluster?.pick();
    if (cluster === undefined) this.#fail("noCluster", `no cluster ${name}`);
    else if (endpoint === undefined) this.#fail("noEndpoint", "no healthy upstream");
    else {
      this.#head = this.#makeHead();
      if (this.#head === undefined) this.#fail("badRequest", "the request cannot be sent");
      else {
        if (timeoutMs > 0) {
          this.#timer = io.wheel.timer(() => this.#fail("timeout", `no answer within ${timeoutMs} ms`));
          this.#timer.arm(timeoutMs);
        }
        this.#try(endpoint, false);
      }
    }
    this.#starting = false;
  }

  #try(endpoint: Endpoint, fresh: boolean): void {
    this.#attempt = new Attempt(endpoint, this, {
      isHead: false,
      upgrade: false,
      http2: this.#request.grpc,
      perTryTimeoutMs: 0,
      fresh,
    });
    this.#attempt.start();
  }

  /** The parser judges it as it would a client's: what it refuses is not sent. */
  #makeHead(): Http1Head | undefined {
    const { method, path, authority, headers, body, grpc } = this.#request;
    let text = `${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\n`;
    for (const [name, value] of headers) {
      if (/[\r\n]/.test(name + value)) return undefined;
      text += `${name}: ${value}\r\n`;
    }
    if (!grpc) text += `content-length: ${body.length}\r\n`;
    const bytes = Buffer.from(`${text}\r\n`, "latin1");
    const head = this.#context.heads.take();
    if (parseRequestHead(bytes, 0, bytes.length, head) !== bytes.length) {
      this.#context.heads.give(head);
      return undefined;
    }
    head.adopt(bytes, 0);
    head.teTrailers = grpc;
    return head;
  }

  attemptReady(attempt: Attempt, client: Upstream): void {
    const head = this.#head;
    if (head === undefined) return;
    const { body } = this.#request;
    const secure = attempt.endpoint.transport.kind === "tls";
    client.sendHead({ head, requestEdits: new EditList(), lines: "", upgrade: undefined, secure });
    if (body.length > 0) client.sendBody(Buffer.from(body), 0, body.length);
    client.sendEnd("");
  }

  attemptInterim(): void {}

  attemptResponse(_: Attempt, head: Http1Head, _length: BodyLength): boolean {
    this.#status = head.status;
    const headers: [string, string][] = [];
    for (let i = 0; i < head.count; i++) if (head.drop[i] === 0) headers.push([head.nameText(i), head.valueText(i)]);
    this.#headers = headers;
    return false;
  }

  attemptBody(bytes: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.#bytes > this.#request.maxResponseBytes) this.#fail("tooLarge", "the answer is too long");
    else this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
  }

  attemptEnd(trailers: string): void {
    const lines = trailers.split("\r\n").flatMap((line) => {
      const colon = line.indexOf(":");
      return colon > 0 ? [[line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const] : [];
    });
    const body = Buffer.concat(this.#chunks);
    this.#finish({ kind: "response", status: this.#status, headers: this.#headers, body, trailers: lines });
  }

  attemptDrain(): void {}

  attemptTunnelEnd(): void {}

  attemptFailed(attempt: Attempt, reason: ResetReason | "perTryTimeout", detail: string): void {
    // A kept connection that its server closed meanwhile: nothing was read, so nothing was done.
    if (
      reason === "connectionTermination" &&
      attempt.reused &&
      !this.#reconnected &&
      attempt.client?.sawBytes !== true
    ) {
      this.#reconnected = true;
      this.#try(attempt.endpoint, true);
      return;
    }
    this.#fail("reset", detail === "" ? reason : `${reason}: ${detail}`);
  }

  cancel(): void {
    if (this.#done === undefined) return;
    this.#done = undefined;
    this.#release();
    this.#attempt?.cancel();
  }

  #fail(reason: Extract<SideOutcome, { kind: "failed" }>["reason"], detail: string): void {
    this.#attempt?.cancel();
    this.#finish({ kind: "failed", reason, detail });
  }

  #finish(outcome: SideOutcome): void {
    const done = this.#done;
    if (done === undefined) return;
    this.#done = undefined;
    this.#release();
    if (!this.#starting) done(outcome);
    else this.#context.io.wheel.timer(() => done(outcome)).arm(0);
  }

  #release(): void {
    this.#timer?.cancel();
    if (this.#head !== undefined) this.#context.heads.give(this.#head);
    this.#head = undefined;
  }
}
