import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { type CompiledRbac, compileRbac } from "@lateen/traffic";
import { HTTP_RBAC, type RbacConfig } from "./config.ts";
import { deniedDetails } from "./details.ts";
import { ShadowRules } from "./shadow.ts";

/** Authorisation of requests. @see envoy.extensions.filters.http.rbac.v3.RBAC */
export const httpRbacRuntime: HttpFilterRuntime<RbacConfig> = {
  name: HTTP_RBAC,
  create: (config: RbacConfig, context: FilterContext): HttpFilter => new HttpRbacFilter(config, context),
};

class HttpRbacFilter implements HttpFilter {
  readonly #own: CompiledConfig;
  readonly #stats: FilterContext["stats"];
  readonly #name: string;
  readonly #allowed: number;
  readonly #denied: number;
  /** Rules of routes, compiled at their first request. */
  readonly #ofRoutes = new WeakMap<RbacConfig, CompiledConfig>();

  constructor(config: RbacConfig, context: FilterContext) {
    this.#own = compiled(config, context.stats);
    this.#stats = context.stats;
    this.#name = context.configName;
    const slots = context.shared(HTTP_RBAC, () => ({
      allowed: context.stats.counter("envoy_http_rbac_allowed", {}),
      denied: context.stats.counter("envoy_http_rbac_denied", {}),
    }));
    this.#allowed = slots.allowed;
    this.#denied = slots.denied;
  }

  onRequestHead(exchange: Exchange): Verdict {
    const route = exchange.routeConfig(this.#name) as RbacConfig | undefined;
    const { rbac, shadow, candidates } = route === undefined ? this.#own : this.#ofRoute(route);
    if (shadow !== undefined) tellShadow(exchange, shadow);
    if (rbac === undefined) return "continue";
    const verdict = rbac.evaluate(exchange.request, exchange.peer);
    if (verdict.allowed) {
      this.#stats.add(this.#allowed, 1);
      return "continue";
    }
    this.#stats.add(this.#denied, 1);
    exchange.localReply({
      status: 403,
      body: "RBAC: access denied",
      flag: "",
      details: deniedDetails(verdict.policy),
      grpcStatus: 7,
      ...(verdict.policy === undefined ? { candidates } : { because: verdict.policy }),
    });
    return "replied";
  }

  #ofRoute(config: RbacConfig): CompiledConfig {
    let known = this.#ofRoutes.get(config);
    if (known === undefined) {
      known = compiled(config, this.#stats);
      this.#ofRoutes.set(config, known);
    }
    return known;
  }
}

const MOST_CANDIDATES = 32;

interface CompiledConfig {
  readonly rbac: CompiledRbac | undefined;
  /** Names of the rules, as many as one cares to read. */
  readonly candidates: readonly string[];
  readonly shadow: ShadowRules | undefined;
}

function compiled({ rules, shadow }: RbacConfig, stats: FilterContext["stats"]): CompiledConfig {
  return {
    rbac: rules === undefined ? undefined : compileRbac(rules),
    candidates: Object.keys(rules?.policies ?? {}).slice(0, MOST_CANDIDATES),
    shadow: shadow && new ShadowRules(shadow, "envoy_http_rbac", stats),
  };
}

/** What rules would have done, for later filters and logs. */
function tellShadow(exchange: Exchange, shadow: ShadowRules): void {
  const { prefix } = shadow;
  const { allowed, policy } = shadow.judge(exchange.request, exchange.peer);
  exchange.setMetadata(HTTP_RBAC, {
    [`${prefix}shadow_engine_result`]: allowed ? "allowed" : "denied",
    ...(policy === undefined ? {} : { [`${prefix}shadow_effective_policy_id`]: policy }),
  });
}
