import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import type { BucketSpec } from "@lateen/traffic";
import { type Descriptor, Descriptors } from "../common/descriptors.ts";
import { type ApplyMutations, compileMutations } from "../common/header-mutations.ts";
import { LOCAL_RATE_LIMIT, type LocalRateLimitConfig } from "./config.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Limits requests by what this proxy alone has seen. @see envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit */
export const localRateLimitRuntime: HttpFilterRuntime<LocalRateLimitConfig> = {
  name: LOCAL_RATE_LIMIT,
  create: (config: LocalRateLimitConfig, context: FilterContext): HttpFilter =>
    new LocalRateLimitFilter(config, context),
};

class LocalRateLimitFilter implements HttpFilter {
  readonly #own: Limiter;
  readonly #context: FilterContext;
  readonly #ofRoutes = new WeakMap<LocalRateLimitConfig, Limiter>();

  constructor(config: LocalRateLimitConfig, context: FilterContext) {
    this.#context = context;
    this.#own = new Limiter(config, context, "");
  }

  onRequestHead(exchange: Exchange): Verdict {
    const route = exchange.routeConfig(this.#context.configName) as LocalRateLimitConfig | undefined;
    return (route === undefined ? this.#own : this.#ofRoute(route, exchange)).judge(exchange, this);
  }

  onResponseHead(exchange: Exchange): void {
    const bucket = exchange.state(this) as TokenBucket | undefined;
    if (bucket === undefined) return;
    exchange.responseEdits.set("x-ratelimit-limit", String(bucket.spec.max));
    exchange.responseEdits.set("x-ratelimit-remaining", String(bucket.left));
    exchange.responseEdits.set("x-ratelimit-reset", String(bucket.resetSeconds));
  }

  #ofRoute(config: LocalRateLimitConfig, exchange: Exchange): Limiter {
    const known = this.#ofRoutes.get(config);
    if (known !== undefined) return known;
    const made = new Limiter(config, this.#context, placeOf(config, exchange, this.#context.configName));
    this.#ofRoutes.set(config, made);
    return made;
  }
}

/** Where in the route table a configuration stands: equal words at two places are two limits. */
function placeOf(config: LocalRateLimitConfig, { route }: Exchange, name: string): string {
  if (route === undefined) return "";
  const { virtualHost } = route;
  const host = `${virtualHost.spec.name} ${virtualHost.spec.domains.join(",")}`;
  const isHosts = virtualHost.spec.filterConfig[name] === config;
  return isHosts ? host : `${host} route ${virtualHost.routes.indexOf(route.route)}`;
}

/** One configuration with its buckets. */
class Limiter {
  readonly #config: LocalRateLimitConfig;
  readonly #context: FilterContext;
  readonly #identity: string;
  readonly #descriptors: Descriptors;
  readonly #requestHeaders: ApplyMutations;
  readonly #responseHeaders: ApplyMutations;
  readonly #slots: {
    readonly enabled: number;
    readonly limited: number;
    readonly enforced: number;
    readonly ok: number;
  };
  readonly #shared: Buckets | undefined;
  readonly #ofConnections = new WeakMap<object, Buckets>();

  constructor(config: LocalRateLimitConfig, context: FilterContext, place: string) {
    this.#config = config;
    this.#context = context;
    this.#identity = `${context.configName} ${context.direction} ${place} ${JSON.stringify(config)}`;
    this.#descriptors = new Descriptors(context, config.stage);
    this.#requestHeaders = compileMutations(config.requestHeaders);
    this.#responseHeaders = compileMutations(config.responseHeaders);
    const counter = (name: string) =>
      context.stats.counter(`envoy_http_local_rate_limit_${name}`, {
        envoy_local_http_ratelimit_prefix: config.statPrefix,
      });
    this.#slots = {
      enabled: counter("enabled"),
      limited: counter("rate_limited"),
      enforced: counter("enforced"),
      ok: counter("ok"),
    };
    this.#shared = config.perConnection
      ? undefined
      : new Buckets(config, (name, spec) => {
          return new TokenBucket(spec, context.cell(`${this.#identity} ${name}`), () => context.wallNow());
        });
  }

  judge(exchange: Exchange, filter: LocalRateLimitFilter): Verdict {
    const { enabled, enforced, hostLimits, xRateLimitHeaders } = this.#config;
    const { stats, random } = this.#context;
    if (!hits(enabled, random)) return "continue";
    stats.add(this.#slots.enabled, 1);
    const wanted = this.#config.descriptors.length === 0 ? NONE : this.#descriptors.ofRoute(exchange, hostLimits);
    const { allowed, bucket } = (this.#shared ?? this.#ofConnection(exchange.connection)).take(wanted);
    if (xRateLimitHeaders) exchange.setState(filter, bucket);
    if (allowed) {
      stats.add(this.#slots.ok, 1);
      return "continue";
    }
    stats.add(this.#slots.limited, 1);
    if (!hits(enforced, random)) {
      this.#requestHeaders(exchange.requestEdits, exchange.resolve);
      return "continue";
    }
    stats.add(this.#slots.enforced, 1);
    this.#responseHeaders(exchange.responseEdits, exchange.resolve);
    const { status, grpcStatus } = this.#config;
    const details = "local_rate_limited";
    exchange.localReply({ status, grpcStatus, body: details, flag: "RL", details });
    return "replied";
  }

  #ofConnection(connection: object): Buckets {
    let known = this.#ofConnections.get(connection);
    if (known === undefined) {
      known = new Buckets(this.#config, (_, spec) => new TokenBucket(spec, ownCell(), () => this.#context.wallNow()));
      this.#ofConnections.set(connection, known);
    }
    return known;
  }
}

/** The buckets of one configuration; descriptors' before the general one. */
class Buckets {
  readonly #general: TokenBucket | undefined;
  readonly #byDescriptor = new Map<string, TokenBucket>();
  readonly #alwaysGeneral: boolean;

  constructor(config: LocalRateLimitConfig, make: (name: string, spec: BucketSpec) => TokenBucket) {
    this.#general = config.bucket === undefined ? undefined : make("", config.bucket);
    this.#alwaysGeneral = config.alwaysDefault;
    for (const { entries, bucket } of config.descriptors) {
      const name = nameOf(entries);
      this.#byDescriptor.set(name, make(name, bucket));
    }
  }

  /** Takes a token of every bucket that counts the request, the slowest first; stops at one that is empty. */
  take(descriptors: readonly Descriptor[]): { readonly allowed: boolean; readonly bucket: TokenBucket | undefined } {
    const named = descriptors.flatMap((entries) => this.#byDescriptor.get(nameOf(entries)) ?? []);
    named.sort((a, b) => a.spec.perFill / a.spec.fillMs - b.spec.perFill / b.spec.fillMs);
    for (const bucket of named) if (!bucket.take()) return { allowed: false, bucket };
    const general = this.#general;
    if (general !== undefined && (named.length === 0 || this.#alwaysGeneral)) {
      return { allowed: general.take(), bucket: named[0] ?? general };
    }
    return { allowed: true, bucket: named[0] };
  }
}

const NONE: readonly Descriptor[] = [];

function nameOf(entries: Descriptor): string {
  return JSON.stringify(entries.map(({ key, value }) => [key, value]));
}

function hits(fraction: number, random: () => number): boolean {
  return fraction >= 1 || (fraction > 0 && random() < fraction);
}

/** A number that one worker alone sees. */
function ownCell() {
  let value = 0;
  return {
    load: () => value,
    exchange(expected: number, next: number) {
      const before = value;
      if (before === expected) value = next;
      return before;
    },
  };
}
