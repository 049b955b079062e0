import { utf8 } from "../access-log/attributes.ts";
import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import type { ExchangeLog } from "../router/exchange-log.ts";
import { sideCall } from "../router/side-call.ts";
import type { ChainFacts, WorkerContext } from "../worker/state.ts";
import { type ContextHeaders, readB3, readW3c, type TraceContext, writeB3, writeW3c } from "./context.ts";
import { SpanExporter } from "./exporter.ts";
import { sample } from "./sampling.ts";
import type { CustomTagSpec, TracingSpec } from "./spec.ts";

/** A request as tracing sees it. */
export interface Traced {
  readonly head: Http1Head;
  readonly requestEdits: EditList;
  readonly log: ExchangeLog;
  requestId: string;
  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined;
}

/** A span that was begun. */
export interface OpenSpan extends TraceContext {
  readonly parentId: string | undefined;
  readonly shared: boolean;
  /** Name that the client's proxy gave it. */
  readonly operation: string | undefined;
}

const DECORATOR = "x-envoy-decorator-operation";

/** Exporters of one worker: chains with the same collector share it. Few, as collectors are configured for whole meshes. */
function exporterOf({ provider }: TracingSpec, context: WorkerContext): SpanExporter {
  if (!context.shared.has(EXPORTERS)) context.shared.set(EXPORTERS, new Map<string, SpanExporter>());
  const exporters = context.shared.get(EXPORTERS) as Map<string, SpanExporter>;
  const key = JSON.stringify(provider);
  const known = exporters.get(key);
  if (known !== undefined) return known;
  const made = new SpanExporter(provider, {
    wheel: context.io.wheel,
    stats: context.stats,
    call: (request, done) => sideCall(context, request, done),
    ending: () => context.draining,
  });
  exporters.set(key, made);
  return made;
}
const EXPORTERS = "tracing exporters";

/** Tells collectors what they have not got yet, before the worker ends. */
export function flushSpans({ shared }: Pick<WorkerContext, "shared">): void {
  const exporters = shared.get(EXPORTERS) as Map<string, SpanExporter> | undefined;
  for (const exporter of exporters?.values() ?? []) exporter.flush();
}

/** Traces the requests of one connection manager: a span for each, as the server of inbound ones and as the client of others. */
export class Tracer {
  readonly #spec: TracingSpec;
  readonly #context: WorkerContext;
  readonly #server: boolean;
  readonly #exporter: SpanExporter;
  /** Custom tags that are the same for all requests. */
  readonly #fixed: Readonly<Record<string, string>>;
  readonly #custom: readonly CustomTagSpec[];

  constructor(spec: TracingSpec, chain: ChainFacts, context: WorkerContext) {
    this.#spec = spec;
    this.#context = context;
    this.#server = chain.direction === "inbound";
    this.#exporter = exporterOf(spec, context);
    const fixed: Record<string, string> = {};
    for (const tag of spec.customTags) {
      const value =
        tag.kind === "literal" ? tag.value : tag.kind === "environment" ? (process.env[tag.name] ?? tag.fallback) : "";
      if (value !== "") fixed[tag.tag] = value;
    }
    this.#fixed = fixed;
    this.#custom = spec.customTags.filter(({ kind }) => kind === "header" || kind === "metadata");
  }

  /** Decides, and writes request id and context into the request that is forwarded. */
  begin(traced: Traced, decorator: string | undefined): OpenSpan {
    const headers = headersOf(traced);
    const { reason, requestId } = sample(
      {
        requestId: traced.requestId,
        clientTraceId: headers.get("x-client-trace-id") !== undefined,
        forced: headers.get("x-envoy-force-trace") !== undefined,
      },
      this.#spec,
    );
    if (requestId !== traced.requestId) {
      traced.requestId = requestId;
      headers.set("x-request-id", requestId);
    }
    const span = this.#open(headers, reason !== "none");
    if (this.#spec.provider.kind === "zipkin") writeB3(headers, span, span.parentId);
    else writeW3c(headers, span);
    // What a client's proxy calls the operation is for the next proxy only.
    if (this.#server) traced.requestEdits.remove(DECORATOR);
    else if (decorator !== undefined) headers.set(DECORATOR, decorator);
    return span;
  }

  #open(headers: ContextHeaders, traced: boolean): OpenSpan {
    const { provider } = this.#spec;
    const parent: Partial<TraceContext> = (provider.kind === "zipkin" ? readB3(headers) : readW3c(headers)) ?? {};
    const operation = this.#server ? headers.get(DECORATOR) : undefined;
    const shared = provider.kind === "zipkin" && provider.sharedSpans && this.#server && parent.spanId !== undefined;
    return {
      traceId: parent.traceId ?? this.#newId(provider.kind === "zipkin" && !provider.longTraceIds ? 16 : 32),
      spanId: shared ? (parent.spanId ?? "") : this.#newId(16),
      parentId: shared ? undefined : parent.spanId,
      shared,
      sampled: parent.sampled ?? traced,
      state: parent.state ?? "",
      operation,
    };
  }

  #newId(digits: number): string {
    let made = "";
    while (made.length < digits) {
      made += Math.floor(this.#context.random() * 0x1_0000_0000)
        .toString(16)
        .padStart(8, "0");
    }
    // An id of zeros means none.
    return /^0+$/.test(made) ? `${made.slice(1)}1` : made;
  }

  /** The request is over. */
  end(traced: Traced, span: OpenSpan, decorator: string | undefined): void {
    if (!span.sampled) return;
    const { log } = traced;
    const { self } = this.#context.bootstrap;
    this.#exporter.add({
      traceId: span.traceId,
      spanId: span.spanId,
      parentId: span.parentId,
      shared: span.shared,
      state: span.state,
      server: this.#server,
      name: span.operation ?? decorator ?? (this.#server ? "ingress" : "egress"),
      startMs: log.startTimeMs,
      durationMs: log.durationMs,
      failed: log.status === 0 || log.status >= 500 || SERVER_ERRORS.has(log.grpcStatus),
      tags: { ...this.#fixed, ...this.#customTags(traced), ...this.#standardTags(log, traced) },
      service: `${self.canonicalService || self.workload}.${self.namespace}`,
      address: log.info.destinationAddress,
      port: log.info.destinationPort,
    });
  }

  #customTags(traced: Traced): Record<string, string> {
    const tags: Record<string, string> = {};
    for (const tag of this.#custom) {
      const text = ownValue(tag, traced);
      if (text !== "") tags[tag.tag] = utf8(text);
    }
    return tags;
  }

  #standardTags(log: ExchangeLog, traced: Traced): Record<string, string> {
    const header = (name: string): string => utf8(log.requestHeader(name) ?? "-");
    const path = utf8(log.requestHeader("x-envoy-original-path") ?? header(":path")).slice(0, this.#spec.maxPathLength);
    const tags: Record<string, string> = {
      component: "proxy",
      node_id: this.#context.bootstrap.self.nodeId,
      "guid:x-request-id": traced.requestId,
      "http.url": `${header(":scheme")}://${header(":authority")}${path}`,
      "http.method": header(":method"),
      "http.protocol": log.protocol,
      "http.status_code": String(log.status),
      user_agent: header("user-agent"),
      downstream_cluster: header("x-envoy-downstream-service-cluster"),
      "peer.address": log.remoteAddress,
      request_size: String(log.bytesReceived),
      response_size: String(log.bytesSent),
      response_flags: log.flags === "" ? "-" : log.flags,
    };
    if (log.upstreamCluster !== "") tags.upstream_cluster = log.upstreamCluster;
    if (log.upstreamCluster !== "") tags["upstream_cluster.name"] = log.upstreamCluster;
    const client = log.requestHeader("x-client-trace-id");
    if (client !== undefined) tags["guid:x-client-trace-id"] = client;
    if (log.grpcStatus >= 0) {
      tags["grpc.status_code"] = String(log.grpcStatus);
      tags["grpc.path"] = path;
      tags["grpc.authority"] = header(":authority");
    }
    return tags;
  }
}

/** gRPC statuses that are the server's fault. */
const SERVER_ERRORS: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);

/** Empty: it is not told. */
function ownValue(tag: CustomTagSpec, traced: Traced): string {
  switch (tag.kind) {
    case "literal":
    case "environment":
      return "";
    case "header":
      return traced.log.requestHeader(tag.name) ?? tag.fallback;
    case "metadata":
      return metadataText(traced, tag) ?? tag.fallback;
  }
}

function headersOf({ requestEdits }: Traced): ContextHeaders {
  return { get: (name) => requestEdits.textOf(name), set: (name, value) => requestEdits.set(name, value) };
}

function metadataText(traced: Traced, tag: Extract<CustomTagSpec, { kind: "metadata" }>): string | undefined {
  let value: unknown = traced.metadata(tag.namespace);
  for (const key of tag.path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  if (value === undefined || value === null) return undefined;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
