import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime, Verdict } from "@lateen/proxy";
import { compileHeaderMatch, type HeaderMatch } from "@lateen/traffic";
import { type AbortAnswer, FAULT, type FaultConfig } from "./config.ts";
import { abortFor, delayFor } from "./controls.ts";

/** Delays and aborts requests on purpose. @see envoy.extensions.filters.http.fault.v3.HTTPFault */
export const faultRuntime: HttpFilterRuntime<FaultConfig> = {
  name: FAULT,
  create: (config: FaultConfig, context: FilterContext): HttpFilter => new FaultFilter(config, context),
};

interface CompiledFault {
  readonly config: FaultConfig;
  readonly headers: readonly HeaderMatch[];
  /** Faults under way. */
  active: number;
}

class FaultFilter implements HttpFilter {
  readonly #own: CompiledFault | undefined;
  readonly #random: () => number;
  readonly #stats: FilterContext["stats"];
  readonly #name: string;
  readonly #slots: { readonly delays: number; readonly aborts: number; readonly overflow: number };
  readonly #ofRoutes = new WeakMap<FaultConfig, CompiledFault>();

  constructor(config: FaultConfig, context: FilterContext) {
    this.#own = config.delay === undefined && config.abort === undefined ? undefined : compiled(config);
    this.#random = context.random;
    this.#stats = context.stats;
    this.#name = context.configName;
    this.#slots = context.shared(FAULT, () => ({
      delays: context.stats.counter("envoy_http_fault_delays_injected", {}),
      aborts: context.stats.counter("envoy_http_fault_aborts_injected", {}),
      overflow: context.stats.counter("envoy_http_fault_faults_overflow", {}),
    }));
  }

  onRequestHead(exchange: Exchange): Verdict {
    const route = exchange.routeConfig(this.#name) as FaultConfig | undefined;
    const fault = route === undefined ? this.#own : this.#ofRoute(route);
    if (fault === undefined || !applies(fault, exchange)) return "continue";
    const { delay, abort, maxActive } = fault.config;
    if (maxActive !== undefined && fault.active >= maxActive) {
      this.#stats.add(this.#slots.overflow, 1);
      return "continue";
    }
    // Both are decided at once: after a wait the head may have been edited by the filters before.
    const wait = delay === undefined ? 0 : delayFor(delay, exchange.request, this.#random);
    const answer = abort === undefined ? undefined : abortFor(abort, exchange.request, this.#random);
    if (wait > 0) {
      this.#start(fault, exchange);
      this.#stats.add(this.#slots.delays, 1);
      exchange.addFlag("DI");
      exchange.after(wait, () => {
        if (answer === undefined) exchange.resume();
        else this.#abort(exchange, answer);
      });
      return "wait";
    }
    if (answer === undefined) return "continue";
    this.#start(fault, exchange);
    this.#abort(exchange, answer);
    return "replied";
  }

  onDone(exchange: Exchange): void {
    const fault = exchange.state(this) as CompiledFault | undefined;
    if (fault !== undefined) fault.active--;
  }

  #start(fault: CompiledFault, exchange: Exchange): void {
    fault.active++;
    exchange.setState(this, fault);
  }

  #abort(exchange: Exchange, answer: AbortAnswer): void {
    this.#stats.add(this.#slots.aborts, 1);
    exchange.localReply({
      status: answer.status,
      body: "fault filter abort",
      flag: "FI",
      details: "fault_filter_abort",
      ...(answer.grpcStatus === undefined ? {} : { grpcStatus: answer.grpcStatus }),
      ...(exchange.routeConfig(this.#name) === undefined ? {} : because(exchange)),
    });
  }

  #ofRoute(config: FaultConfig): CompiledFault {
    const known = this.#ofRoutes.get(config);
    if (known !== undefined) return known;
    const made = compiled(config);
    this.#ofRoutes.set(config, made);
    return made;
  }
}

/** Faults of a route are written in the rule that made it. */
function because({ route }: Exchange): { readonly because?: string } {
  const origin = route?.route.spec.origin;
  return origin === undefined ? {} : { because: origin };
}

function compiled(config: FaultConfig): CompiledFault {
  return { config, headers: config.headers.map(compileHeaderMatch), active: 0 };
}

function applies(fault: CompiledFault, exchange: Exchange): boolean {
  const { cluster } = fault.config;
  if (cluster !== undefined && exchange.summary.cluster?.name !== cluster) return false;
  for (const matches of fault.headers) if (!matches(exchange.request)) return false;
  return true;
}
