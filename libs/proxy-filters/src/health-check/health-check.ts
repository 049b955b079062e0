import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { compileHeaderMatch, type HeaderMatch } from "@lateen/traffic";
import { ownCluster } from "../common/descriptors.ts";
import { HEALTH_CHECK, type HealthCheckConfig } from "./config.ts";

/** Answers health checks. @see envoy.extensions.filters.http.health_check.v3.HealthCheck */
export const healthCheckRuntime: HttpFilterRuntime<HealthCheckConfig> = {
  name: HEALTH_CHECK,
  create: (config: HealthCheckConfig, context: FilterContext): HttpFilter => new HealthCheckFilter(config, context),
};

class HealthCheckFilter implements HttpFilter {
  readonly #config: HealthCheckConfig;
  readonly #context: FilterContext;
  readonly #headers: readonly HeaderMatch[];
  #cached: { readonly status: number; readonly untilMs: number } | undefined = undefined;

  constructor(config: HealthCheckConfig, context: FilterContext) {
    this.#config = config;
    this.#context = context;
    this.#headers = config.headers.map(compileHeaderMatch);
  }

  onRequestHead(exchange: Exchange): Verdict {
    for (const matches of this.#headers) if (!matches(exchange.request)) return "continue";
    const draining = this.#context.draining();
    const cached = this.#recent();
    exchange.setState(this, "health check");
    if (this.#config.passThrough && !draining && cached === undefined) return "continue";
    if (draining) this.#answer(exchange, 503, "health_check_failed");
    else if (cached !== undefined) this.#answer(exchange, cached, "health_check_cached");
    else this.#answer(exchange, this.#clustersHealthy() ? 200 : 503, "health_check_ok");
    return "replied";
  }

  onResponseHead(exchange: Exchange): void {
    if (exchange.state(this) === undefined) return;
    const { cacheMs } = this.#config;
    const status = exchange.response?.status;
    if (status !== undefined && cacheMs > 0) this.#cached = { status, untilMs: this.#context.now() + cacheMs };
    if (this.#context.draining()) exchange.responseEdits.set("x-envoy-immediate-health-check-fail", "true");
    exchange.responseEdits.set("x-envoy-upstream-healthchecked-cluster", ownCluster(this.#context.self));
  }

  #recent(): number | undefined {
    const cached = this.#cached;
    return cached !== undefined && this.#context.now() < cached.untilMs ? cached.status : undefined;
  }

  #clustersHealthy(): boolean {
    for (const [name, least] of Object.entries(this.#config.clusters)) {
      const health = this.#context.clusterHealth(name);
      if (health === undefined) return false;
      if (health.total === 0 ? least > 0 : 100 * health.healthy < health.total * least) return false;
    }
    return true;
  }

  #answer(exchange: Exchange, status: number, details: string): void {
    const good = status >= 200 && status < 300;
    exchange.localReply({
      status,
      body: "",
      flag: good ? "" : "LH",
      details: good || details !== "health_check_ok" ? details : "health_check_failed",
    });
  }
}
