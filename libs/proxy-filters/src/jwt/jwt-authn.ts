import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { compileRouteMatch, hashName, type RequestMatch } from "@lateen/traffic";
import { JWT_AUTHN, type JwtConfig, type JwtRouteConfig } from "./config.ts";
import { failures } from "./failures.ts";
import { FULL, Provider } from "./provider.ts";
import { compileRequirement, type Requirement } from "./requirement.ts";

/**
 * Verifies JSON Web Tokens and tells what they claim to the filters after it. Signatures are checked on the worker's own thread,
 * once for each token while it is remembered.
 * @see envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
 */
export const jwtAuthnRuntime: HttpFilterRuntime<JwtConfig> = {
  name: JWT_AUTHN,
  create: (config: JwtConfig, context: FilterContext): HttpFilter => new JwtAuthnFilter(config, context),
};

interface Rule {
  readonly matches: RequestMatch;
  readonly requirement: Requirement | undefined;
}

/** Longest path that a refusal repeats, as in Envoy. */
const MAX_PATH = 256;

class JwtAuthnFilter implements HttpFilter {
  readonly #config: JwtConfig;
  readonly #context: FilterContext;
  readonly #rules: readonly Rule[];
  readonly #named: ReadonlyMap<string, Requirement>;
  readonly #slots: { readonly allowed: number; readonly denied: number; readonly bypassed: number };

  constructor(config: JwtConfig, context: FilterContext) {
    this.#config = config;
    this.#context = context;
    const providers = new Map(Object.entries(config.providers).map(([name, spec]) => [name, new Provider(spec)]));
    this.#rules = config.rules.map(({ match, requires }) => ({
      matches: compileRouteMatch(match),
      requirement: requires && compileRequirement(requires, providers),
    }));
    this.#named = new Map(
      Object.entries(config.requirements).map(([name, spec]) => [name, compileRequirement(spec, providers)]),
    );
    this.#slots = context.shared(JWT_AUTHN, () => ({
      allowed: context.stats.counter("envoy_http_jwt_authn_allowed", {}),
      denied: context.stats.counter("envoy_http_jwt_authn_denied", {}),
      bypassed: context.stats.counter("envoy_http_jwt_authn_cors_preflight_bypassed", {}),
    }));
  }

  onRequestHead(exchange: Exchange): Verdict {
    const { stats } = this.#context;
    if (this.#config.bypassCorsPreflight && isPreflight(exchange)) {
      stats.add(this.#slots.bypassed, 1);
      return "continue";
    }
    // A token may leave the path before another one turns out bad; its bytes stay where they are.
    const { pathStart, pathEnd } = exchange.request;
    const problem = this.#requirement(exchange)?.(exchange, this.#context.wallNow());
    if (problem === undefined) {
      stats.add(this.#slots.allowed, 1);
      return "continue";
    }
    stats.add(this.#slots.denied, 1);
    if (problem === FULL) {
      exchange.localReply({ status: 431, body: "", flag: "", details: "request_headers_too_large" });
      return "replied";
    }
    const status = problem === failures.audience ? 403 : 401;
    const strip = this.#config.stripFailureResponse;
    const challenge = `Bearer realm="${originalUri(exchange, pathStart, pathEnd)}"${problem === failures.missing ? "" : ', error="invalid_token"'}`;
    exchange.localReply({
      status,
      body: strip ? "" : problem,
      flag: "",
      details: `jwt_authn_access_denied{${problem.replaceAll(" ", "_")}}`,
      headers: strip ? [] : [["www-authenticate", challenge]],
    });
    return "replied";
  }

  #requirement(exchange: Exchange): Requirement | undefined {
    const route = exchange.routeConfig(JWT_AUTHN) as JwtRouteConfig | undefined;
    if (route?.kind === "disabled") return undefined;
    if (route?.kind === "requirement") {
      // A name that nobody knows must not open the door.
      return this.#named.get(route.name) ?? (() => `Wrong requirement_name: ${route.name}`);
    }
    const { request } = exchange;
    for (const rule of this.#rules) if (rule.matches(request, this.#context.random)) return rule.requirement;
    return undefined;
  }
}

const ORIGIN = named("origin");
const REQUEST_METHOD = named("access-control-request-method");
const ORIGINAL_PATH = named("x-envoy-original-path");

function named(name: string) {
  return { bytes: new TextEncoder().encode(name), hash: hashName(name) };
}

function headerOf({ request }: Exchange, { bytes, hash }: ReturnType<typeof named>): string | undefined {
  const at = request.find(bytes, hash);
  return at < 0 ? undefined : request.valueText(at);
}

function isPreflight(exchange: Exchange): boolean {
  const { request } = exchange;
  if (request.text(request.methodStart, request.methodEnd) !== "OPTIONS") return false;
  return (headerOf(exchange, ORIGIN) ?? "") !== "" && (headerOf(exchange, REQUEST_METHOD) ?? "") !== "";
}

/** What the client asked for, for its challenge. */
function originalUri(exchange: Exchange, pathStart: number, pathEnd: number): string {
  const { request } = exchange;
  const path = headerOf(exchange, ORIGINAL_PATH) ?? request.text(pathStart, pathEnd);
  const scheme = exchange.requestEdits.textOf("x-forwarded-proto") ?? exchange.scheme;
  return `${scheme}://${request.text(request.authorityStart, request.authorityEnd)}${path.slice(0, MAX_PATH)}`;
}
