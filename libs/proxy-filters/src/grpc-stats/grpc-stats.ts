import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { headerReader } from "../common/descriptors.ts";
import { GRPC_STATS, type GrpcStatsConfig } from "./config.ts";

/** Counts gRPC calls, their outcomes and their messages. @see envoy.extensions.filters.http.grpc_stats.v3.FilterConfig */
export const grpcStatsRuntime: HttpFilterRuntime<GrpcStatsConfig> = {
  name: GRPC_STATS,
  create: (config: GrpcStatsConfig, context: FilterContext): HttpFilter => new GrpcStatsFilter(config, context),
};

/** Clients choose method names: with more than these, further ones are counted together. */
const MAX_METHODS = 500;

interface Call {
  readonly service: string;
  readonly method: string;
  readonly request: MessageCounter;
  readonly response: MessageCounter;
  upstreamMs: number;
}

class GrpcStatsFilter implements HttpFilter {
  readonly #config: GrpcStatsConfig;
  readonly #context: FilterContext;
  readonly #methods: ReadonlySet<string>;
  /** Slots by cluster, service, method and counter; shared by all chains of the worker. */
  readonly #slots: Map<string, number>;
  readonly #seen: Set<string>;

  constructor(config: GrpcStatsConfig, context: FilterContext) {
    this.#config = config;
    this.#context = context;
    this.#methods = new Set(Array.isArray(config.methods) ? (config.methods as readonly string[]) : []);
    const shared = context.shared(GRPC_STATS, () => ({ slots: new Map<string, number>(), seen: new Set<string>() }));
    this.#slots = shared.slots;
    this.#seen = shared.seen;
  }

  onRequestHead(exchange: Exchange): Verdict {
    if (!isGrpc(exchange)) return "continue";
    const path = PATH(exchange)?.split("?", 1)[0] ?? "";
    const [, service = "", method = ""] = /^\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    const named = this.#isNamed(service, method);
    exchange.setState(this, {
      service: named ? (this.#config.replaceDots ? service.replaceAll(".", "_") : service) : "",
      method: named ? method : "",
      request: new MessageCounter(),
      response: new MessageCounter(),
      upstreamMs: this.#context.now(),
    } satisfies Call);
    return "continue";
  }

  onRequestBody(exchange: Exchange, bytes: Buffer, start: number, end: number): void {
    (exchange.state(this) as Call | undefined)?.request.read(bytes, start, end);
  }

  onUpstream(exchange: Exchange): void {
    const call = exchange.state(this) as Call | undefined;
    if (call !== undefined) call.upstreamMs = this.#context.now();
  }

  onResponseBody(exchange: Exchange, bytes: Buffer, start: number, end: number): void {
    (exchange.state(this) as Call | undefined)?.response.read(bytes, start, end);
  }

  onDone(exchange: Exchange): void {
    const call = exchange.state(this) as Call | undefined;
    if (call === undefined) return;
    const { summary } = exchange;
    if (this.#config.emit) {
      const counts = { request_message_count: call.request.count, response_message_count: call.response.count };
      exchange.setMetadata(GRPC_STATS, counts);
    }
    const cluster = summary.cluster?.name;
    if (cluster === undefined) return;
    const { stats } = this.#context;
    const add = (name: string, amount: number) => stats.add(this.#slot("counter", name, cluster, call), amount);
    add("total", 1);
    add(summary.grpcStatus === 0 ? "success" : "failure", 1);
    if (summary.grpcStatus >= 0) add(String(summary.grpcStatus), 1);
    add("request_message_count", call.request.count);
    add("response_message_count", call.response.count);
    if (this.#config.upstreamTime) {
      const slot = this.#slot("histogram", "upstream_rq_time", cluster, call);
      stats.observe(slot, this.#context.now() - call.upstreamMs);
    }
  }

  #isNamed(service: string, method: string): boolean {
    const { methods } = this.#config;
    if (methods === "none" || service === "") return false;
    const name = `${service}/${method}`;
    if (methods !== "all") return this.#methods.has(name);
    if (this.#seen.has(name)) return true;
    if (this.#seen.size >= MAX_METHODS) return false;
    this.#seen.add(name);
    return true;
  }

  #slot(kind: "counter" | "histogram", name: string, cluster: string, { service, method }: Call): number {
    const key = `${cluster} ${service} ${method} ${name}`;
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      slot = this.#context.stats[kind](`envoy_cluster_grpc_${name}`, {
        envoy_cluster_name: cluster,
        ...(service === "" ? {} : { envoy_grpc_bridge_service: service, envoy_grpc_bridge_method: method }),
      });
      this.#slots.set(key, slot);
    }
    return slot;
  }
}

/** Counts the length-prefixed messages of one direction. @see gRPC over HTTP/2, Length-Prefixed-Message */
class MessageCounter {
  count = 0;
  #prefix = 0;
  #length = 0;
  #left = 0;

  read(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, end - at);
        this.#left -= skipped;
        at += skipped;
        continue;
      }
      if (this.#prefix > 0) this.#length = this.#length * 256 + (bytes[at] as number);
      at++;
      if (++this.#prefix < 5) continue;
      this.count++;
      this.#left = this.#length;
      this.#prefix = 0;
      this.#length = 0;
    }
  }
}

const PATH = headerReader(":path");
const CONTENT_TYPE = headerReader("content-type");

function isGrpc(exchange: Exchange): boolean {
  return /^application\/grpc(?:$|[+;])/.test(CONTENT_TYPE(exchange) ?? "");
}
