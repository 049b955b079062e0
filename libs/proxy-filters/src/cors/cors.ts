import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { compileTextMatch, hashName, type TextMatch } from "@lateen/traffic";
import { CORS, type CorsConfig } from "./config.ts";

/**
 * Answers preflights and marks responses that scripts of other origins may read. What is not allowed is not refused here: the
 * browser does that when the headers are missing.
 * @see envoy.extensions.filters.http.cors.v3.Cors, https://fetch.spec.whatwg.org/#http-cors-protocol
 */
export const corsRuntime: HttpFilterRuntime = {
  name: CORS,
  create: (_: unknown, context: FilterContext): HttpFilter => new CorsFilter(context),
};

interface CompiledPolicy {
  readonly config: CorsConfig;
  readonly allows: (origin: string) => boolean;
}

/** What the response of an exchange is to say. */
interface CorsState {
  readonly config: CorsConfig;
  /** Undefined: it is not allowed. */
  readonly origin: string | undefined;
  readonly preflight: boolean;
  /** The preflight asked for access from a less private network. */
  readonly privateNetwork: boolean;
}

const ORIGIN = named("origin");
const REQUEST_METHOD = named("access-control-request-method");
const REQUEST_PRIVATE = named("access-control-request-private-network");

class CorsFilter implements HttpFilter {
  readonly #random: () => number;
  readonly #stats: FilterContext["stats"];
  readonly #name: string;
  readonly #slots: { readonly valid: number; readonly invalid: number };
  readonly #policies = new WeakMap<CorsConfig, CompiledPolicy>();

  constructor(context: FilterContext) {
    this.#random = context.random;
    this.#stats = context.stats;
    this.#name = context.configName;
    this.#slots = context.shared(CORS, () => ({
      valid: context.stats.counter("envoy_cors_origin_valid", {}),
      invalid: context.stats.counter("envoy_cors_origin_invalid", {}),
    }));
  }

  onRequestHead(exchange: Exchange): Verdict {
    const config = exchange.routeConfig(this.#name) as CorsConfig | undefined;
    if (config === undefined) return "continue";
    const origin = headerOf(exchange, ORIGIN);
    if (origin === undefined || origin === "") return "continue";
    if (config.fraction < 1 && this.#random() >= config.fraction) return "continue";
    const preflight = isOptions(exchange) && (headerOf(exchange, REQUEST_METHOD) ?? "") !== "";
    if (!this.#policy(config).allows(origin)) {
      this.#stats.add(this.#slots.invalid, 1);
      if (!preflight || config.forwardUnmatched) return "continue";
      exchange.setState(this, { config, origin: undefined, preflight, privateNetwork: false } satisfies CorsState);
      return answered(exchange);
    }
    this.#stats.add(this.#slots.valid, 1);
    const privateNetwork = preflight && config.privateNetwork && headerOf(exchange, REQUEST_PRIVATE) === "true";
    exchange.setState(this, { config, origin, preflight, privateNetwork } satisfies CorsState);
    return preflight ? answered(exchange) : "continue";
  }

  onResponseHead(exchange: Exchange): void {
    const state = exchange.state(this) as CorsState | undefined;
    if (state === undefined) return;
    const { responseEdits } = exchange;
    const { config, preflight } = state;
    const set = (name: string, value: string) => {
      if (value !== "") responseEdits.set(name, value);
    };
    // Without it the rest permits nothing; Envoy says the rest all the same.
    if (state.origin !== undefined) responseEdits.set("access-control-allow-origin", state.origin);
    if (config.credentials) responseEdits.set("access-control-allow-credentials", "true");
    // Also on the answer to a preflight, where it means nothing: Envoy does so.
    if (state.origin !== undefined) set("access-control-expose-headers", config.exposed);
    if (!preflight) return;
    set("access-control-allow-methods", config.methods);
    set("access-control-allow-headers", config.headers);
    set("access-control-max-age", config.maxAge);
    if (state.privateNetwork) responseEdits.set("access-control-allow-private-network", "true");
  }

  #policy(config: CorsConfig): CompiledPolicy {
    const known = this.#policies.get(config);
    if (known !== undefined) return known;
    const matchers: readonly TextMatch[] = config.origins.map(compileTextMatch);
    // A pattern that matches the text `*` stands for every origin.
    const any = matchers.some((matches) => matches("*"));
    const made = { config, allows: (origin: string) => any || matchers.some((matches) => matches(origin)) };
    this.#policies.set(config, made);
    return made;
  }
}

function answered(exchange: Exchange): Verdict {
  exchange.localReply({ status: 200, body: "", flag: "", details: "cors_response" });
  return "replied";
}

function isOptions({ request }: Exchange): boolean {
  return request.text(request.methodStart, request.methodEnd) === "OPTIONS";
}

interface Name {
  readonly bytes: Uint8Array;
  readonly hash: number;
}
function named(name: string): Name {
  return { bytes: new TextEncoder().encode(name), hash: hashName(name) };
}

function headerOf({ request }: Exchange, name: Name): string | undefined {
  const index = request.find(name.bytes, name.hash);
  return index < 0 ? undefined : request.valueText(index);
}
