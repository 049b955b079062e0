import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, SideCall, Verdict } from "@lateen/proxy";
import { Descriptors } from "../common/descriptors.ts";
import { callGrpc, type GrpcOutcome } from "../common/grpc-call.ts";
import { type ApplyMutations, compileMutations } from "../common/header-mutations.ts";
import { RATE_LIMIT, type RateLimitConfig, type RateLimitRouteConfig } from "./config.ts";
import {
  type RateLimitAnswer,
  rateLimitHeaders,
  rateLimitRequest,
  readRateLimitResponse,
  SHOULD_RATE_LIMIT,
} from "./protocol.ts";

/** Asks a service that counts for many proxies. @see envoy.extensions.filters.http.ratelimit.v3.RateLimit */
export const rateLimitRuntime: HttpFilterRuntime<RateLimitConfig> = {
  name: RATE_LIMIT,
  create: (config: RateLimitConfig, context: FilterContext): HttpFilter => new RateLimitFilter(config, context),
};

/** What one exchange waits for, or has been given for its response. */
interface Pending {
  call: SideCall | undefined;
  answer: RateLimitAnswer | undefined;
}
type Counted = "ok" | "over_limit" | "error" | "failure_mode_allowed";

class RateLimitFilter implements HttpFilter {
  readonly #config: RateLimitConfig;
  readonly #context: FilterContext;
  readonly #descriptors: Descriptors;
  readonly #responseHeaders: ApplyMutations;
  readonly #slots: Readonly<Record<Counted, number>>;

  constructor(config: RateLimitConfig, context: FilterContext) {
    this.#config = config;
    this.#context = context;
    this.#descriptors = new Descriptors(context, config.stage);
    this.#responseHeaders = compileMutations(config.responseHeaders);
    const labels = config.statPrefix === "" ? {} : { envoy_ratelimit_prefix: config.statPrefix };
    const counter = (name: Counted) => context.stats.counter(`envoy_http_ratelimit_${name}`, labels);
    this.#slots = context.shared(`${RATE_LIMIT} ${config.statPrefix}`, () => ({
      ok: counter("ok"),
      over_limit: counter("over_limit"),
      error: counter("error"),
      failure_mode_allowed: counter("failure_mode_allowed"),
    }));
  }

  onRequestHead(exchange: Exchange): Verdict {
    const route = exchange.routeConfig(this.#context.configName) as RateLimitRouteConfig | undefined;
    const descriptors = this.#descriptors.ofRoute(exchange, route?.hostLimits ?? "override");
    if (descriptors.length === 0) return "continue";
    const pending: Pending = { call: undefined, answer: undefined };
    exchange.setState(this, pending);
    const message = rateLimitRequest(route?.domain || this.#config.domain, descriptors);
    pending.call = callGrpc(this.#context, this.#config.service, { path: SHOULD_RATE_LIMIT, message }, (outcome) => {
      pending.call = undefined;
      this.#judge(exchange, pending, outcome);
    });
    return "wait";
  }

  onResponseHead(exchange: Exchange): void {
    const answer = (exchange.state(this) as Pending | undefined)?.answer;
    if (answer === undefined) return;
    for (const [name, value] of answer.responseHeaders) exchange.responseEdits.append(name, value);
    if (!this.#config.xRateLimitHeaders) return;
    for (const [name, value] of rateLimitHeaders(answer.limits)) exchange.responseEdits.set(name, value);
  }

  onDone(exchange: Exchange): void {
    (exchange.state(this) as Pending | undefined)?.call?.cancel();
  }

  #judge(exchange: Exchange, pending: Pending, outcome: GrpcOutcome): void {
    const answer = outcome.ok ? readRateLimitResponse(outcome.message) : undefined;
    if (answer === undefined) {
      this.#failed(exchange);
      return;
    }
    pending.answer = answer;
    if (answer.metadata !== undefined) exchange.setMetadata(RATE_LIMIT, answer.metadata);
    if (!answer.overLimit) {
      this.#count("ok");
      for (const [name, value] of answer.requestHeaders) exchange.requestEdits.append(name, value);
      exchange.resume();
      return;
    }
    this.#count("over_limit");
    const { status, grpcStatus, markRefusals, service } = this.#config;
    if (markRefusals) exchange.responseEdits.set("x-envoy-ratelimited", "true");
    this.#responseHeaders(exchange.responseEdits, exchange.resolve);
    const details = "request_rate_limited";
    exchange.localReply({ status, grpcStatus, body: answer.body, flag: "RL", details, because: service.cluster });
  }

  #failed(exchange: Exchange): void {
    this.#count("error");
    const { failureModeDeny, statusOnError, service } = this.#config;
    if (!failureModeDeny) {
      this.#count("failure_mode_allowed");
      exchange.resume();
      return;
    }
    const details = "rate_limiter_error";
    exchange.localReply({ status: statusOnError, body: "", flag: "RLSE", details, because: service.cluster });
  }

  #count(name: Counted): void {
    this.#context.stats.add(this.#slots[name], 1);
  }
}
