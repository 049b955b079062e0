import { isFilterDisabled, type RouteMatch } from "@lateen/traffic";
import { unknownFilter } from "../chain/errors.ts";
import type { FilterContext, HttpFilter } from "../chain/spi.ts";
import type { HttpConnectionManagerSpec } from "../config/plan.ts";
import type { ChainFacts, WorkerContext } from "../worker/state.ts";
import { sideCall } from "./side-call.ts";

interface ChainFilter {
  readonly name: string;
  readonly disabled: boolean;
  readonly filter: HttpFilter;
}

/** The filters of one connection manager, and which of them a route has. */
export class FilterSet {
  /** Those of requests whose route says nothing about them. */
  readonly byDefault: readonly HttpFilter[];
  readonly watchBodies: boolean;
  readonly #all: readonly ChainFilter[];
  /** A filter is off unless routes switch it on. */
  readonly #someOff: boolean;
  readonly #byRoute = new WeakMap<RouteMatch, readonly HttpFilter[]>();

  /** @throws LateenError LTN5102 for a filter this worker does not have; what filters throw when they are made. */
  constructor(spec: HttpConnectionManagerSpec, chain: ChainFacts, context: WorkerContext) {
    this.#all = spec.httpFilters.map(({ name, config, configName = name, disabled = false }) => {
      const factory = context.filters.get(name);
      if (factory === undefined) throw unknownFilter(name);
      return { name: configName, disabled, filter: factory.create(config, contextFor(configName, chain, context)) };
    });
    this.#someOff = this.#all.some(({ disabled }) => disabled);
    this.byDefault = this.#all.filter(({ disabled }) => !disabled).map(({ filter }) => filter);
    this.watchBodies = this.#all.some(
      ({ filter }) => filter.onRequestBody !== undefined || filter.onResponseBody !== undefined,
    );
  }

  of(match: RouteMatch | undefined): readonly HttpFilter[] {
    if (match === undefined || !(this.#someOff || match.route.switchesFilters)) return this.byDefault;
    const known = this.#byRoute.get(match);
    if (known !== undefined) return known;
    const made = this.#all.filter((entry) => isOn(entry, match)).map(({ filter }) => filter);
    this.#byRoute.set(match, made);
    return made;
  }
}

/** A route's word wins: configuration switches a filter on. */
function isOn({ name, disabled }: ChainFilter, { route, virtualHost }: RouteMatch): boolean {
  const config = route.filterConfig(name, virtualHost);
  return config === undefined ? !disabled : !isFilterDisabled(config);
}

function contextFor(configName: string, chain: ChainFacts, context: WorkerContext): FilterContext {
  const { random, stats, bootstrap, io, plan } = context;
  return {
    direction: chain.direction,
    random,
    self: bootstrap.self,
    stats,
    configName,
    shared: <T>(name: string, make: () => T): T => {
      if (!context.shared.has(name)) context.shared.set(name, make());
      return context.shared.get(name) as T;
    },
    now: () => io.wheel.now(),
    wallNow: () => io.wheel.wallNow(),
    draining: () => context.draining,
    cell: (identity) => context.cells.find(identity),
    after: (ms, callback) => {
      const timer = io.wheel.timer(callback);
      timer.arm(ms);
      return () => timer.cancel();
    },
    call: (request, done) => sideCall(context, request, done),
    requireHost: (cluster, authority, done) => plan.cluster(cluster)?.requireHost(authority, done),
    clusterHealth: (name) => {
      const cluster = plan.cluster(name);
      if (cluster === undefined) return undefined;
      let [healthy, total] = [0, 0];
      for (const endpoint of cluster.endpoints) {
        total++;
        if (endpoint.healthy) healthy++;
      }
      return { healthy, total };
    },
  };
}
