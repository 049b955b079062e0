import { VIRTUAL_INBOUND, VIRTUAL_OUTBOUND } from "../names.ts";
import type { DynamicMessage, EnvoyMessages } from "./messages.ts";
import { listOf, mergePatch, type Patch, type PatchContext, patchesOf, patchList, text } from "./patch.ts";
import { patchManagers, patchNetworkFilters } from "./patch-filters.ts";

type ListenerMatch = NonNullable<Patch["match"]["listener"]>;
type ChainMatch = NonNullable<ListenerMatch["filterChain"]>;

/**
 * Applies all patches of listeners to one, in place: first those of the listener, then of its filters, chains, network and HTTP filters,
 * and of routes that it holds itself. Whether anything changed; undefined when the listener is to be removed.
 */
export function patchListener(
  messages: EnvoyMessages,
  listener: DynamicMessage,
  context: PatchContext,
  patches: readonly Patch[],
): boolean | undefined {
  const of = (applyTo: Patch["applyTo"]) =>
    patchesOf(patches, applyTo, context).filter((patch) => isListener(patch, listener));
  let changed = false;
  for (const patch of of("LISTENER")) {
    if (patch.operation === "REMOVE") return undefined;
    changed = mergePatch(messages, listener, patch) || changed;
  }
  for (const patch of of("LISTENER_FILTER")) {
    changed =
      patchList(messages, patch, {
        list: listOf(listener, "listenerFilters"),
        selects: (filter, { match }) => isNamed(match.listener?.listenerFilter, filter),
        names: ({ match }) => Boolean(match.listener?.listenerFilter),
      }) || changed;
  }
  changed = patchChains(messages, listener, of("FILTER_CHAIN")) || changed;
  for (const chain of chainsOf(listener)) {
    const about = (applyTo: Patch["applyTo"]) =>
      of(applyTo).filter(
        (patch) => isChain(patch.match.listener, chain, listener) && carries(patch, context, chain, listener),
      );
    changed = patchNetworkFilters(messages, chain, about("NETWORK_FILTER")) || changed;
    const routes = { context, port: portOf(chain) ?? boundPort(listener), patches };
    changed = patchManagers(messages, chain, about("HTTP_FILTER"), routes) || changed;
  }
  return changed;
}

/** Kinds of patches that {@link patchListener} applies. */
const LISTENER_KINDS: ReadonlySet<Patch["applyTo"]> = new Set([
  "LISTENER",
  "FILTER_CHAIN",
  "LISTENER_FILTER",
  "NETWORK_FILTER",
  "HTTP_FILTER",
]);
const ROUTE_KINDS: ReadonlySet<Patch["applyTo"]> = new Set(["ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"]);

/** The patches that listeners of a context may have to do with. Those of sidecars' inbound ports hold their routes themselves. */
export function patchesOfListeners(context: PatchContext, patches: readonly Patch[]): readonly Patch[] {
  return patches.filter((patch) => {
    const kind = LISTENER_KINDS.has(patch.applyTo) || (context === "SIDECAR_INBOUND" && ROUTE_KINDS.has(patch.applyTo));
    return kind && patchesOf([patch], patch.applyTo, context).length > 0;
  });
}

function chainsOf(listener: DynamicMessage): readonly DynamicMessage[] {
  const last = listener.defaultFilterChain as DynamicMessage | undefined;
  return [...listOf(listener, "filterChains"), ...(last === undefined ? [] : [last])];
}

function patchChains(messages: EnvoyMessages, listener: DynamicMessage, patches: readonly Patch[]): boolean {
  let changed = false;
  for (const patch of patches) {
    changed =
      patchList(messages, patch, {
        list: listOf(listener, "filterChains"),
        selects: (chain, { match }) => isChain(match.listener, chain, listener),
        names: () => true,
      }) || changed;
    const last = listener.defaultFilterChain as DynamicMessage | undefined;
    if (last === undefined || !isChain(patch.match.listener, last, listener)) continue;
    if (patch.operation === "REMOVE") {
      listener.defaultFilterChain = undefined;
      changed = true;
    } else changed = mergePatch(messages, last, patch) || changed;
  }
  return changed;
}

/** Filters are found by name; a name that is absent selects all. */
function isNamed(name: string | undefined, filter: DynamicMessage): boolean {
  return !name || name === text(filter, "name");
}

/** All captured traffic comes to one listener; of it, ports tell the chains apart. */
function isVirtual(listener: DynamicMessage): boolean {
  return [VIRTUAL_INBOUND, VIRTUAL_OUTBOUND].includes(text(listener, "name"));
}

function isListener({ applyTo, match }: Patch, listener: DynamicMessage): boolean {
  const { name, portNumber } = match.listener ?? {};
  if (name && name !== text(listener, "name")) return false;
  if (applyTo !== "LISTENER" && isVirtual(listener)) return true;
  return !portNumber || portNumber === boundPort(listener);
}

function boundPort(listener: DynamicMessage): number | undefined {
  const address = (listener.address as DynamicMessage | undefined)?.address as
    | { readonly case?: string; readonly value?: DynamicMessage }
    | undefined;
  if (address?.case !== "socketAddress") return undefined;
  const port = address.value?.portSpecifier as { readonly case?: string; readonly value?: unknown } | undefined;
  return port?.case === "portValue" && typeof port.value === "number" ? port.value : undefined;
}

function portOf(chain: DynamicMessage): number | undefined {
  const port = (chain.filterChainMatch as DynamicMessage | undefined)?.destinationPort;
  return typeof port === "number" && port > 0 ? port : undefined;
}

function isChain(match: ListenerMatch | undefined, chain: DynamicMessage, listener: DynamicMessage): boolean {
  if (match === undefined) return true;
  if (match.portNumber && isVirtual(listener) && match.portNumber !== portOf(chain)) return false;
  return match.filterChain === undefined || hasShape(match.filterChain, chain);
}

function hasShape(match: ChainMatch, chain: DynamicMessage): boolean {
  const shape = chain.filterChainMatch as DynamicMessage | undefined;
  if (match.name && match.name !== text(chain, "name")) return false;
  if (match.sni && !((shape?.serverNames as readonly string[] | undefined) ?? []).includes(match.sni)) return false;
  if (match.transportProtocol && match.transportProtocol !== text(shape, "transportProtocol")) return false;
  if (match.destinationPort && match.destinationPort !== portOf(chain)) return false;
  const protocols = (shape?.applicationProtocols as readonly string[] | undefined) ?? [];
  return (match.applicationProtocols ?? "")
    .split(",")
    .every((protocol) => protocol.trim() === "" || protocols.includes(protocol.trim()));
}

/** Whether a chain has the traffic that a patch is about. */
function carries({ traffic }: Patch, context: PatchContext, chain: DynamicMessage, listener: DynamicMessage): boolean {
  const port = portOf(chain) ?? boundPort(listener);
  return (
    traffic === undefined ||
    traffic.some(
      ({ contexts, ports }) =>
        contexts.includes(context) && (ports.length === 0 || (port !== undefined && ports.includes(port))),
    )
  );
}
