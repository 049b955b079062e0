import type { XdsNode } from "@lateen/compiler";
import { type Clock, err, type Logger, messageOf, ok } from "@lateen/kernel";
import type { AdsServer, AdsSession, AdsTransport, Caller } from "@lateen/ports";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import {
  createDeltaSession,
  createSotwSession,
  grpcStatus,
  HEALTH_TYPE,
  type NackRecord,
  type ServerStream,
  type ServerStreamOptions,
  SharedWork,
  type StreamObserver,
} from "@lateen/xds";
import type { PilotCompiler } from "../compiler-face.ts";
import type { PilotMetrics } from "../metrics.ts";
import type { ConnectedLimits } from "../options.ts";
import type { PushRound } from "../push/push-round.ts";
import type { Registrations } from "../registration/registrations.ts";
import { admitNode } from "./admission.ts";
import type { AdmittedProxy, Connection } from "./connection.ts";
import { GuardedSource } from "./guarded-source.ts";

export interface AdsFrontOptions {
  readonly compiler: PilotCompiler;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: PilotMetrics;
  readonly limits: ConnectedLimits;
  /** Takes in workloads that register themselves. */
  readonly registrations: Registrations;
  /** Why nothing may be served yet; undefined when it may. */
  readonly notReady: () => string | undefined;
  /** Number of the push that the compiler's answers belong to. */
  readonly push: () => number;
  readonly versionInfo: () => string;
  /** Some proxy's state changed. */
  readonly onChange: () => void;
  /** Told of streams that are done with a push. */
  readonly round: Pick<PushRound<Connection>, "has" | "done">;
}

/** New kinds of clients after which those that are gone are forgotten. */
const KINDS_GONE = 16;

/** Milliseconds in which a client has surely asked for all its types. */
const INTRODUCTION_MS = 1000;

/** Serves ADS streams and knows which are open. Nothing that goes wrong on one stream reaches another or the process. */
export class AdsFront implements AdsServer {
  readonly #options: AdsFrontOptions;
  readonly #open = new Set<Connection>();
  readonly #work = new SharedWork();
  /** Open streams by identity. */
  readonly #ofIdentity = new Map<string, number>();
  /** Kinds of clients of open streams, by identity: how many streams are of each. */
  readonly #kindsOfIdentity = new Map<string, Map<string, number>>();
  #lastId = 0;
  /** Kinds of clients that the compiler knew after it last forgot those that are gone. */
  #kindsKept = 0;

  constructor(options: AdsFrontOptions) {
    this.#options = options;
  }

  get connections(): ReadonlySet<Connection> {
    return this.#open;
  }

  /**
   * The newest ADS stream of each proxy: an older one is a connection whose end was not noticed yet. Streams of single types belong to
   * clients that are no whole proxies, and nobody waits for them.
   */
  proxies(): readonly Connection[] {
    const newest = new Map<string, Connection>();
    for (const connection of this.#open) {
      if (connection.proxy !== undefined && connection.only === undefined)
        newest.set(connection.proxy.node.id, connection);
    }
    return [...newest.values()];
  }

  openDelta: AdsServer["openDelta"] = (caller, transport, only) =>
    this.#start({ protocol: "delta", caller, only }, transport, createDeltaSession);

  openSotw: AdsServer["openSotw"] = (caller, transport, only) =>
    this.#start({ protocol: "sotw", caller, only }, transport, createSotwSession);

  /** Open streams that carry one type each. */
  typeStreams(): readonly Connection[] {
    return [...this.#open].filter(({ proxy, only }) => proxy !== undefined && only !== undefined);
  }

  /** Ends every stream. */
  endAll(code: number, message: string): void {
    for (const connection of [...this.#open]) connection.end(code, message);
  }

  #start<
    Request extends { readonly typeUrl: string; readonly errorDetail?: { readonly message: string } | undefined },
    Response,
  >(
    kind: Pick<Connection, "protocol" | "caller" | "only">,
    transport: AdsTransport<Response>,
    create: (options: ServerStreamOptions<Response>) => ServerStream<Request>,
  ): AdsSession<Request> {
    const { limits, notReady } = this.#options;
    const reason = notReady();
    if (reason !== undefined) return refused(transport, grpcStatus.unavailable, reason);
    if (this.#open.size >= limits.streams) {
      return refused(transport, grpcStatus.resourceExhausted, `there are ${limits.streams} streams already`);
    }
    if ((this.#ofIdentity.get(identityOf(kind.caller)) ?? 0) >= limits.streamsPerIdentity) {
      const text = `this identity has ${limits.streamsPerIdentity} streams already`;
      return refused(transport, grpcStatus.resourceExhausted, text);
    }
    const close = (code: number, message: string) => {
      this.#close(connection);
      transport.close(code, message);
    };
    const stream = create({
      transport: {
        send: (response) => transport.send(response),
        ready: () => transport.ready?.() ?? true,
        close,
      },
      work: this.#work,
      admit: (node) => this.#admit(connection, node),
      clock: this.#options.clock,
      limits: limits.perStream,
      identifier: "lateen-pilot",
      observer: this.#observe(() => connection),
      changedSince: () => {
        const since = connection.untoldSince;
        connection.untoldSince = undefined;
        return since;
      },
    });
    const connection: Connection = {
      id: ++this.#lastId,
      ...kind,
      connectedAt: this.#options.clock.now(),
      proxy: undefined,
      kind: undefined,
      changedSince: undefined,
      untoldSince: undefined,
      queuedAt: undefined,
      sentSince: false,
      content: undefined,
      push: () => {
        this.#dequeued(connection);
        this.#guard(connection, () => (this.#isConcerned(connection) ? stream.push() : stream.unchanged()));
      },
      status: () => stream.status(),
      progress: () => stream.progress(),
      end: close,
    };
    this.#open.add(connection);
    this.#count(kind.caller, 1);
    const cancel = this.#options.clock.after(INTRODUCTION_MS, () => this.#guard(connection, () => stream.introduced()));
    return {
      receive: (request) => {
        const typed = ofType(request, kind.only);
        if (typed === undefined) return close(grpcStatus.invalidArgument, `this service carries ${kind.only} only`);
        this.#guard(connection, () =>
          typed.typeUrl === HEALTH_TYPE ? this.#health(connection, typed.errorDetail) : stream.receive(typed),
        );
      },
      drained: () => this.#guard(connection, () => stream.drained()),
      closed: () => {
        cancel();
        stream.closed();
        this.#close(connection);
      },
    };
  }

  /** A report of health is no subscription: an error is what the workload's probe found. */
  #health({ id }: Connection, error: { readonly message: string } | undefined): void {
    this.#options.registrations.health(id, { healthy: error === undefined, message: error?.message ?? "" });
  }

  #dequeued(connection: Connection): void {
    if (connection.queuedAt === undefined) return;
    this.#options.metrics.dequeued(this.#options.clock.monotonic() - connection.queuedAt);
    connection.queuedAt = undefined;
  }

  /** Whether anything that the proxy may get changed since its last push; also when that cannot be told. */
  #isConcerned(connection: Connection): boolean {
    const { proxy, content: before } = connection;
    connection.content = undefined;
    if (proxy === undefined || proxy.source.failures.size > 0) return true;
    try {
      connection.content = this.#options.compiler.content?.(proxy.node);
    } catch {
      return true;
    }
    return connection.content === undefined || connection.content !== before;
  }

  #count(caller: Caller | undefined, change: 1 | -1): void {
    const key = identityOf(caller);
    const count = (this.#ofIdentity.get(key) ?? 0) + change;
    if (count > 0) this.#ofIdentity.set(key, count);
    else this.#ofIdentity.delete(key);
  }

  #admit(connection: Connection, node: Node) {
    const { clock, logger, metrics } = this.#options;
    const admitted = this.#introduce(connection, node);
    if (!admitted.ok) {
      logger.warn({ event: "proxy.refused", node: node.id.slice(0, 256), reason: admitted.error.message });
      metrics.refused();
      return admitted;
    }
    const tooMany = this.#tooManyKinds(connection, admitted.value);
    if (tooMany !== undefined) {
      metrics.refused();
      return err({ code: grpcStatus.resourceExhausted, message: tooMany });
    }
    const proxy: AdmittedProxy = {
      node: admitted.value,
      version: versionOf(node),
      source: new GuardedSource({
        compiler: this.#options.compiler,
        node: admitted.value,
        revision: this.#options.push,
        versionInfo: this.#options.versionInfo,
        onFailure: (typeUrl, reason) => this.#compileFailure(admitted.value.id, typeUrl, reason),
      }),
    };
    connection.proxy = proxy;
    connection.changedSince = clock.monotonic();
    metrics.connected(proxy.version, 1);
    logger.info({
      event: "proxy.connected",
      node: proxy.node.id,
      stream: connection.id,
      protocol: connection.protocol,
    });
    return ok(proxy.source);
  }

  #introduce(connection: Connection, node: Node) {
    const admitted = admitNode(connection.caller, node);
    if (!admitted.ok || connection.only !== undefined) return admitted;
    const joined = this.#options.registrations.join(connection.id, admitted.value);
    return joined.ok ? admitted : joined;
  }

  /** Notes what kind of client a stream is; why an identity may not have another one, or undefined when it may. */
  #tooManyKinds(connection: Connection, node: XdsNode): string | undefined {
    const { compiler, limits } = this.#options;
    const identity = identityOf(connection.caller);
    const kinds = this.#kindsOfIdentity.get(identity) ?? new Map<string, number>();
    let kind: string | undefined;
    try {
      kind = compiler.kindOf?.(node);
    } catch {
      // What cannot be compiled is reported where it is asked for.
    }
    if (kind === undefined) return undefined;
    if (!kinds.has(kind) && kinds.size >= limits.kindsPerIdentity) {
      return `streams of this identity are ${kinds.size} kinds of clients already`;
    }
    connection.kind = kind;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    this.#kindsOfIdentity.set(identity, kinds);
    return undefined;
  }

  #uncountKind({ caller, kind }: Connection): void {
    const identity = identityOf(caller);
    const kinds = this.#kindsOfIdentity.get(identity);
    if (kinds === undefined || kind === undefined) return;
    const left = (kinds.get(kind) ?? 0) - 1;
    if (left > 0) kinds.set(kind, left);
    else kinds.delete(kind);
    if (kinds.size === 0) this.#kindsOfIdentity.delete(identity);
  }

  /** Lets the compiler forget what it made for clients that are gone, now and then. */
  #forgetKinds(): void {
    const { compiler } = this.#options;
    if (compiler.retain === undefined || (compiler.kinds ?? 0) < this.#kindsKept + KINDS_GONE) return;
    try {
      compiler.retain([...this.#open].flatMap(({ proxy }) => proxy?.node ?? []));
    } catch {
      // The same.
    }
    this.#kindsKept = compiler.kinds ?? 0;
  }

  #close(connection: Connection): void {
    if (!this.#open.delete(connection)) return;
    this.#options.round.done(connection);
    this.#count(connection.caller, -1);
    this.#uncountKind(connection);
    this.#forgetKinds();
    this.#options.registrations.leave(connection.id);
    const { proxy } = connection;
    if (proxy !== undefined) {
      this.#options.metrics.connected(proxy.version, -1);
      this.#options.logger.info({ event: "proxy.disconnected", node: proxy.node.id, stream: connection.id });
    }
    this.#options.onChange();
  }

  #observe(connectionOf: () => Connection): StreamObserver {
    const { clock, metrics, onChange } = this.#options;
    return {
      sent: (typeUrl, facts) => {
        const { nonce, resources, removed } = facts;
        const connection = connectionOf();
        connection.sentSince = true;
        metrics.pushed(typeUrl, facts);
        const node = connection.proxy?.node.id;
        this.#options.logger.debug({ event: "push.sent", node, typeUrl, nonce, resources, removed });
      },
      expired: (typeUrl) => metrics.expired(typeUrl),
      nacked: (record) => {
        metrics.rejected(record.typeUrl);
        this.#logNack(connectionOf(), record);
        onChange();
      },
      settled: () => {
        const connection = connectionOf();
        if (connection.sentSince && connection.changedSince !== undefined) {
          metrics.converged(clock.monotonic() - connection.changedSince);
        }
        connection.sentSince = false;
        connection.changedSince = undefined;
        onChange();
      },
    };
  }

  #logNack(connection: Connection, { typeUrl, nonce, names, reason }: NackRecord): void {
    const node = connection.proxy?.node.id;
    this.#options.logger.warn({ event: "push.refused", node, typeUrl, nonce, names: names.slice(0, 20), reason });
  }

  #compileFailure(node: string, typeUrl: string, reason: string | undefined): void {
    const { logger, metrics } = this.#options;
    if (reason === undefined) {
      logger.info({ event: "compile.recovered", node, typeUrl });
      return;
    }
    metrics.internalError();
    logger.error({ event: "compile.failed", node, typeUrl, reason });
  }

  #guard(connection: Connection, step: () => void): void {
    const { round } = this.#options;
    try {
      step();
      if (round.has(connection) && connection.queuedAt === undefined && connection.progress().idle)
        round.done(connection);
    } catch (error) {
      const reason = messageOf(error);
      this.#options.metrics.internalError();
      this.#options.logger.error({ event: "stream.failed", node: connection.proxy?.node.id, reason });
      connection.end(grpcStatus.internal, "internal error; come again");
    }
  }
}

function identityOf(caller: Caller | undefined): string {
  return caller === undefined ? "" : `${caller.namespace}/${caller.serviceAccount}`;
}

/** The request with its type, which may be left out on a stream of one type; undefined when it asks for another. */
function ofType<Request extends { readonly typeUrl: string }>(
  request: Request,
  only: string | undefined,
): Request | undefined {
  if (only === undefined || request.typeUrl === only) return request;
  return request.typeUrl === "" ? { ...request, typeUrl: only } : undefined;
}

function refused<Request, Response>(
  transport: AdsTransport<Response>,
  code: number,
  message: string,
): AdsSession<Request> {
  transport.close(code, message);
  return { receive() {}, drained() {}, closed() {} };
}

/** `ISTIO_VERSION`, cut, because a client chooses it. */
function versionOf(node: Node): string {
  const version = node.metadata?.ISTIO_VERSION;
  return typeof version === "string" && version !== "" ? version.slice(0, 64) : "unknown";
}
