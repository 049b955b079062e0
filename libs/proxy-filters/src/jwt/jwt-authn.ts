import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { compileRouteMatch, hashName, type RequestMatch } from "@lateen/traffic";
import { JWT_AUTHN, type JwtConfig, type JwtRequirementSpec, type JwtRouteConfig } from "./config.ts";
import { failures } from "./failures.ts";
import { FULL, Provider } from "./provider.ts";
import type { RemoteKeys } from "./remote-keys.ts";
import { compileMissingKeys, compileRequirement, type MissingKeys, type Requirement } from "./requirement.ts";

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
  readonly asked: Asked | undefined;
}

/** A requirement, and what it has to know first. */
interface Asked {
  readonly requirement: Requirement;
  readonly missing: MissingKeys | undefined;
}

/** Longest path that a refusal repeats, as in Envoy. */
const MAX_PATH = 256;

class JwtAuthnFilter implements HttpFilter {
  readonly #config: JwtConfig;
  readonly #context: FilterContext;
  readonly #rules: readonly Rule[];
  readonly #named: ReadonlyMap<string, Asked>;
  readonly #slots: { readonly allowed: number; readonly denied: number; readonly bypassed: number };

  constructor(config: JwtConfig, context: FilterContext) {
    this.#config = config;
    this.#context = context;
    const providers = new Map(
      Object.entries(config.providers).map(([name, spec]) => [name, new Provider(spec, context)]),
    );
    const compiled = (spec: JwtRequirementSpec): Asked => ({
      requirement: compileRequirement(spec, providers),
      missing: compileMissingKeys(spec, providers),
    });
    this.#rules = config.rules.map(({ match, requires }) => ({
      matches: compileRouteMatch(match),
      asked: requires && compiled(requires),
    }));
    this.#named = new Map(Object.entries(config.requirements).map(([name, spec]) => [name, compiled(spec)]));
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
    const asked = this.#asked(exchange);
    const missing = asked?.missing?.(exchange, this.#context.wallNow()) ?? [];
    if (asked === undefined || missing.length === 0) return this.#judge(exchange, asked?.requirement);
    this.#fetch(exchange, missing, () => {
      if (this.#judge(exchange, asked.requirement) === "continue") exchange.resume();
    });
    return "wait";
  }

  onDone(exchange: Exchange): void {
    for (const cancel of (exchange.state(this) as readonly (() => void)[] | undefined) ?? []) cancel();
  }

  /** Calls `done` when each of them was fetched, or could not be. */
  #fetch(exchange: Exchange, missing: readonly RemoteKeys[], done: () => void): void {
    let left = missing.length;
    const one = (): void => {
      if (--left === 0) done();
    };
    exchange.setState(
      this,
      missing.map((keys) => keys.fetch(one)),
    );
  }

  #judge(exchange: Exchange, requirement: Requirement | undefined): Verdict {
    const { stats } = this.#context;
    // A token may leave the path before another one turns out bad; its bytes stay where they are.
    const { pathStart, pathEnd } = exchange.request;
    const problem = requirement?.(exchange, this.#context.wallNow());
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

  #asked(exchange: Exchange): Asked | undefined {
    const route = exchange.routeConfig(JWT_AUTHN) as JwtRouteConfig | undefined;
    if (route?.kind === "disabled") return undefined;
    if (route?.kind === "requirement") {
      // A name that nobody knows must not open the door.
      const unknown: Asked = { requirement: () => `Wrong requirement_name: ${route.name}`, missing: undefined };
      return this.#named.get(route.name) ?? unknown;
    }
    const { request } = exchange;
    for (const rule of this.#rules) if (rule.matches(request, this.#context.random)) return rule.asked;
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
