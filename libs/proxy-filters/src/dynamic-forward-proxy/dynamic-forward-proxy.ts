import type { Exchange, FilterContext, HostOutcome, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { DYNAMIC_FORWARD_PROXY } from "./config.ts";

/**
 * Holds a request whose cluster has the hosts of requests for endpoints until its host's address is known.
 * @see envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig
 */
export const dynamicForwardProxyRuntime: HttpFilterRuntime<null> = {
  name: DYNAMIC_FORWARD_PROXY,
  create: (_config: null, context: FilterContext): HttpFilter => new DynamicForwardProxy(context),
};

class DynamicForwardProxy implements HttpFilter {
  readonly #context: FilterContext;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  onRequestHead(exchange: Exchange): Verdict {
    const { request, summary } = exchange;
    const { cluster } = summary;
    if (cluster === undefined) return "continue";
    const authority = request.text(request.authorityStart, request.authorityEnd);
    const found = this.#context.requireHost(cluster.name, authority, (outcome) => {
      if (outcome === "ready") exchange.resume();
      else refuse(exchange, outcome);
    });
    if (found === undefined || found === "ready") return "continue";
    if (typeof found === "string") {
      refuse(exchange, found);
      return "replied";
    }
    exchange.setState(this, found);
    return "wait";
  }

  onDone(exchange: Exchange): void {
    (exchange.state(this) as (() => void) | undefined)?.();
  }
}

/** Texts, flags and details are Envoy's. */
function refuse(exchange: Exchange, outcome: Exclude<HostOutcome, "ready">): void {
  const reply =
    outcome === "failed"
      ? { body: "DNS resolution failure", flag: "DF", details: "dns_resolution_failure" }
      : { body: "DNS cache overflow", flag: "UO", details: "dns_cache_overflow" };
  exchange.localReply({ status: 503, ...reply });
}
