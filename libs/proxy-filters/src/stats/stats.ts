import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, MetricsSpec } from "@lateen/proxy";
import { type HeadView, hashName } from "@lateen/traffic";
import { CallTable } from "./call-table.ts";
import { type CustomCalls, customCallsOf } from "./custom-calls.ts";
import { isUnmatched } from "./labels.ts";
import type { CallSeries, Outcome } from "./series.ts";

export const STATS = "istio.stats";
/** How the metrics differ from the standard ones; empty: not at all. */
export type StatsConfig = MetricsSpec;

/** Istio's standard request metrics. */
export const statsRuntime: HttpFilterRuntime<StatsConfig> = {
  name: STATS,
  create: (config: StatsConfig, context: FilterContext): HttpFilter =>
    new StatsFilter(
      context.shared(STATS, () => new CallTable(context)),
      context.direction === "inbound",
      config.changes === undefined ? undefined : customCallsOf(config, context),
      config.ignoresHost ?? false,
    ),
};

class StatsFilter implements HttpFilter {
  readonly #calls: CallTable;
  readonly #inbound: boolean;
  /** Filled anew for every request. */
  readonly #outcome: { -readonly [K in keyof Outcome]: Outcome[K] } = {
    grpc: false,
    responseCode: 0,
    grpcStatus: -1,
    flags: "",
  };

  readonly #custom: CustomCalls | undefined;
  readonly #ignoresHost: boolean;

  constructor(calls: CallTable, inbound: boolean, custom: CustomCalls | undefined, ignoresHost: boolean) {
    this.#calls = calls;
    this.#inbound = inbound;
    this.#custom = custom;
    this.#ignoresHost = ignoresHost;
  }

  onDone(exchange: Exchange): void {
    const { summary } = exchange;
    const outcome = this.#outcome;
    outcome.grpc = isGrpc(exchange.request);
    outcome.responseCode = summary.responseCode;
    outcome.grpcStatus = outcome.grpc ? summary.grpcStatus : -1;
    outcome.flags = summary.responseFlags;
    const series = this.#series(exchange);
    if (this.#custom !== undefined) this.#custom.record(exchange, series, outcome);
    else series.record(outcome, summary.durationMs, summary.requestBytes, summary.responseBytes);
  }

  #series(exchange: Exchange): CallSeries {
    const { cluster, endpoint, upstreamPrincipal, upstreamMutualTls } = exchange.summary;
    if (this.#inbound) {
      const other = exchange.peerWorkload;
      return this.#calls.find("destination", cluster, exchange.peer.principal, other, other);
    }
    if (cluster !== undefined && cluster.destinationService === undefined && isUnmatched(cluster.name)) {
      const { request } = exchange;
      if (this.#ignoresHost) return this.#calls.findHost(cluster, "");
      return this.#calls.findHost(cluster, request.text(request.authorityStart, request.authorityEnd));
    }
    const principal = upstreamMutualTls ? upstreamPrincipal : undefined;
    return this.#calls.find("source", cluster, principal, endpoint, endpoint?.workload);
  }
}

const CONTENT_TYPE = new TextEncoder().encode("content-type");
const CONTENT_TYPE_HASH = hashName("content-type");
const GRPC = new TextEncoder().encode("application/grpc");

/** `application/grpc`, alone or followed by `+` or `;` … */
function isGrpc(head: HeadView): boolean {
  const index = head.find(CONTENT_TYPE, CONTENT_TYPE_HASH);
  if (index < 0) return false;
  const start = head.offsets[index * 4 + 2] ?? 0;
  const end = head.offsets[index * 4 + 3] ?? 0;
  if (end - start < GRPC.length) return false;
  for (let i = 0; i < GRPC.length; i++) if (head.bytes[start + i] !== GRPC[i]) return false;
  if (end - start === GRPC.length) return true;
  const next = head.bytes[start + GRPC.length];
  return next === 0x2b || next === 0x3b;
}
