import { HTTP_CONNECTION_MANAGER } from "../filters.ts";
import { type DynamicMessage, type EnvoyMessages, isMessage, oneof, typedConfigOf } from "./messages.ts";
import { type FilterPlace, listOf, type Patch, type PatchContext, patchList, text } from "./patch.ts";
import { patchesOfRoutes, patchRouteConfiguration } from "./patch-routes.ts";

/** Applies these patches to the network filters of a chain, in place. Whether anything changed. */
export function patchNetworkFilters(
  messages: EnvoyMessages,
  chain: DynamicMessage,
  patches: readonly Patch[],
): boolean {
  const list = listOf(chain, "filters");
  let changed = false;
  for (const patch of patches) {
    changed =
      patchList(messages, patch, {
        list,
        selects: (filter, { match }) => isNamed(match.listener?.filterChain?.filter?.name, filter),
        names: ({ match }) => Boolean(match.listener?.filterChain?.filter?.name),
        addAt: ({ place }) => placeIn(list, place),
      }) || changed;
  }
  return changed;
}

/** Routes that a listener holds itself, and what patches them. */
interface HeldRoutes {
  readonly context: PatchContext;
  readonly port: number | undefined;
  readonly patches: readonly Patch[];
}

/** Applies these patches to the HTTP filters of a chain, in place, and those of routes to the routes that it holds. */
export function patchManagers(
  messages: EnvoyMessages,
  chain: DynamicMessage,
  patches: readonly Patch[],
  { context, port, patches: all }: HeldRoutes,
): boolean {
  let changed = false;
  for (const filter of listOf(chain, "filters")) {
    const any = typedConfigOf(filter);
    if (text(filter, "name") !== HTTP_CONNECTION_MANAGER || any === undefined) continue;
    const manager = messages.unpack(any);
    if (manager === undefined) continue;
    let touched = false;
    for (const patch of patches) touched = patchHttpFilter(messages, manager, patch) || touched;
    const { case: kind, value: routes } = oneof(manager, "routeSpecifier");
    if (kind === "routeConfig" && isMessage(routes)) {
      const about = patchesOfRoutes({ name: text(routes, "name"), context, port }, all);
      touched = (about.length > 0 && patchRouteConfiguration(messages, routes, about)) || touched;
    }
    if (touched) messages.pack(any, manager);
    changed ||= touched;
  }
  return changed;
}

function patchHttpFilter(messages: EnvoyMessages, manager: DynamicMessage, patch: Patch): boolean {
  const network = patch.match.listener?.filterChain?.filter?.name;
  if (network && network !== HTTP_CONNECTION_MANAGER) return false;
  const list = listOf(manager, "httpFilters");
  return patchList(messages, patch, {
    list,
    selects: (filter, { match }) => isNamed(match.listener?.filterChain?.filter?.subFilter?.name, filter),
    names: ({ match }) => Boolean(match.listener?.filterChain?.filter?.subFilter?.name),
    addAt: ({ place }) => placeIn(list, place),
  });
}

/** Filters are found by name; a name that is absent selects all. */
function isNamed(name: string | undefined, filter: DynamicMessage): boolean {
  return !name || name === text(filter, "name");
}

/** The order of the filters that the control plane puts into chains; those of others have no place of their own. */
const ORDER: ReadonlyMap<string, number> = new Map([
  ["istio.peer_metadata", 0],
  ["istio.metadata_exchange", 0],
  ["envoy.filters.http.ext_authz", 1],
  ["envoy.filters.network.ext_authz", 1],
  ["envoy.filters.http.jwt_authn", 3],
  ["istio_authn", 3],
  ["envoy.filters.http.rbac", 5],
  ["envoy.filters.network.rbac", 5],
  ["envoy.filters.http.grpc_web", 7],
  ["envoy.filters.http.grpc_stats", 7],
  ["istio.alpn", 7],
  ["envoy.filters.http.fault", 7],
  ["envoy.filters.http.cors", 7],
  ["istio.stats", 9],
]);

/** After filters of this place in the order, before those beyond. */
const PLACES: Readonly<Record<Exclude<FilterPlace, "LAST">, number>> = {
  BEFORE_AUTHN: 2,
  AFTER_AUTHN: 3,
  BEFORE_AUTHZ: 4,
  AFTER_AUTHZ: 5,
  AFTER_POLICIES: 6,
  BEFORE_STATS: 8,
};

/** Where an added filter goes. The last filter ends the way of a request or connection, so the last place is before it. */
function placeIn(list: readonly DynamicMessage[], place: FilterPlace): number {
  const end = Math.max(0, list.length - 1);
  if (place === "LAST") return end;
  const beyond = list.findIndex((filter) => (ORDER.get(text(filter, "name")) ?? -1) > PLACES[place]);
  return beyond < 0 ? end : Math.min(beyond, end);
}
