import type { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import type { ListenerFilter } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import { httpManagerOf } from "./mesh.ts";

interface FilterOptions {
  readonly namespace?: string;
  readonly created?: string;
  readonly priority?: number;
  /** `workloadSelector: …` or `targetRefs: …`, in flow style. */
  readonly selects?: string;
}

/** An EnvoyFilter with these patches, in flow style. */
export function envoyFilter(name: string, patches: readonly string[], options: FilterOptions = {}): string {
  const { namespace = "default", created = "2024-01-01T00:00:00Z", priority = 0, selects = "" } = options;
  return `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}" }
spec: { priority: ${priority}, ${selects} configPatches: [${patches.join(", ")}] }
---`;
}

/** A patch: `match` and `value` in flow style. */
export function patch(applyTo: string, operation: string, match = "{}", value = "", more = ""): string {
  return `{ applyTo: ${applyTo}, match: ${match}, patch: { operation: ${operation}${value && `, value: ${value}`}${more} } }`;
}

/** The value of a patch: an HTTP filter that runs Lua. */
export function lua(name: string, code = "x = 1"): string {
  return `{ name: ${name}, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: { inline_string: "${code}" } } }`;
}

/** Matches an HTTP filter of a context. */
export function at(context: string, subFilter = ""): string {
  const sub = subFilter === "" ? "" : `, subFilter: { name: ${subFilter} }`;
  return `{ context: ${context}, listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager${sub} } } } }`;
}

/** Names of the HTTP filters of each chain that has some. */
export function httpFiltersOf(listener: Listener): readonly (readonly string[])[] {
  const chains = [...listener.filterChains, ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : [])];
  return chains.flatMap(({ filters }) =>
    filters
      .filter(({ name }) => name === "envoy.filters.network.http_connection_manager")
      .map((filter) => httpManagerOf(filter).httpFilters.map(({ name }) => name)),
  );
}

/** Names of the network filters of each chain. */
export function networkFiltersOf(listener: Listener): readonly (readonly string[])[] {
  return listener.filterChains.map(({ filters }) => filters.map(({ name }) => name));
}

/** Names of the listener filters. */
export function listenerFiltersOf(listener: Listener): readonly string[] {
  return listener.listenerFilters.map((filter: ListenerFilter) => filter.name);
}
