import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { type ApplyMutations, compileMutations } from "../common/header-mutations.ts";
import { HEADER_MUTATION, type HeaderMutationConfig } from "./config.ts";

/**
 * Changes heads. The filter's own changes come first, then those of the routes.
 * @see envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
 */
export const headerMutationRuntime: HttpFilterRuntime<HeaderMutationConfig> = {
  name: HEADER_MUTATION,
  create: (config: HeaderMutationConfig, context: FilterContext): HttpFilter =>
    new HeaderMutationFilter(config, context),
};

interface Compiled {
  readonly request: ApplyMutations;
  readonly response: ApplyMutations;
}

class HeaderMutationFilter implements HttpFilter {
  readonly #own: Compiled;
  readonly #name: string;
  readonly #mostSpecificWins: boolean;
  readonly #ofRoutes = new WeakMap<HeaderMutationConfig, Compiled>();

  constructor(config: HeaderMutationConfig, context: FilterContext) {
    this.#own = compiled(config);
    this.#name = context.configName;
    this.#mostSpecificWins = config.mostSpecificWins;
  }

  onRequestHead(exchange: Exchange): Verdict {
    this.#own.request(exchange.requestEdits, exchange.resolve);
    for (const { request } of this.#levels(exchange)) request(exchange.requestEdits, exchange.resolve);
    return "continue";
  }

  onResponseHead(exchange: Exchange): void {
    this.#own.response(exchange.responseEdits, exchange.resolve);
    for (const { response } of this.#levels(exchange)) response(exchange.responseEdits, exchange.resolve);
  }

  #levels(exchange: Exchange): readonly Compiled[] {
    const levels = exchange.routeConfigs(this.#name) as readonly HeaderMutationConfig[];
    if (levels.length === 0) return levels as readonly never[];
    const ordered = levels.map((config) => this.#ofRoute(config));
    return this.#mostSpecificWins ? ordered.reverse() : ordered;
  }

  #ofRoute(config: HeaderMutationConfig): Compiled {
    let known = this.#ofRoutes.get(config);
    if (known === undefined) {
      known = compiled(config);
      this.#ofRoutes.set(config, known);
    }
    return known;
  }
}

function compiled({ request, response }: HeaderMutationConfig): Compiled {
  return { request: compileMutations(request), response: compileMutations(response) };
}
