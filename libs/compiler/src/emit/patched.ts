import { LayeredMap } from "@lateen/kernel";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import type { PatchContext } from "../lower/patches/patch.ts";
import { type EncodedResource, sameLayers, sameMap } from "../resource.ts";
import { type NodeScope, type ProxyScope, scopeKey, type WorkloadScope } from "../scope.ts";
import { inboundPorts } from "../world/inbound.ts";
import { NO_PATCHES, type PatchSet, patchesFor } from "../world/patch-sets.ts";
import { pluginParts } from "../world/wasm-plugins.ts";
import { sniClusters } from "./auto-passthrough.ts";
import { outboundClusters, ownClusters, plainClusters } from "./clusters.ts";
import { byName } from "./encode.ts";
import { inboundListeners, outboundListenersOf, plainListeners } from "./listeners.ts";
import { namedResources, patchedResources, patchedRoute } from "./patches.ts";
import { plainRoute, plainRoutes } from "./routes.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/** A client and its patches: sidecars that are patched alike share what comes out. */
interface PatchedClient {
  readonly scope: ProxyScope;
  readonly set: PatchSet;
}
const clientKey = ({ scope, set }: PatchedClient): string => `${scope.id} ${set.id}`;

function clientContext(scope: ProxyScope): PatchContext {
  return scope.kind === "router" ? "GATEWAY" : "SIDECAR_OUTBOUND";
}

const patchedOutboundClusters = defineQuery<PatchedClient, Resources>({
  name: "patchedOutboundClusters",
  key: clientKey,
  compute: (read, { scope, set }) => {
    const context = clientContext(scope);
    return patchedResources(read, read.ask(outboundClusters, scope).values(), set, {
      contextOf: () => context,
      adding: { applyTo: "CLUSTER", contexts: [context] },
    });
  },
  equal: sameMap,
});

const patchedOwnClusters = defineQuery<WorkloadScope, Resources>({
  name: "patchedOwnClusters",
  key: scopeKey,
  compute: (read, scope) => {
    const set = read.ask(patchesFor, scope);
    const client = clientContext(scope);
    const hosts = new Map(
      read
        .ask(inboundPorts, scope)
        .map(({ port, services }) => [port, services.map(({ service }) => service.host)] as const),
    );
    const patched = patchedResources(read, read.ask(ownClusters, scope), set, {
      contextOf: (name) => (/^inbound\||^InboundPassthrough/.test(name) ? "SIDECAR_INBOUND" : client),
      hostsOf: (name) => hosts.get(Number(/^inbound\|(\d+)\|/.exec(name)?.[1])) ?? [],
      ...(scope.kind === "router" ? {} : { adding: { applyTo: "CLUSTER", contexts: ["SIDECAR_INBOUND"] } as const }),
    });
    const sources = namedResources(read, pluginParts(read, scope).sources);
    return new Map([...sources, ...patched]);
  },
  equal: sameMap,
});

/** All clusters of a proxy. */
export const scopeClusters = defineQuery<NodeScope, Resources>({
  name: "scopeClusters",
  key: scopeKey,
  compute: (read, scope) => {
    const { client, workload } = scope;
    const set = read.ask(patchesFor, workload);
    if (set === NO_PATCHES) return read.ask(plainClusters, scope);
    const outbound = read.ask(patchedOutboundClusters, { scope: client, set });
    // What was added for both contexts is there once.
    const own = new Map([...read.ask(patchedOwnClusters, workload)].filter(([name]) => !outbound.has(name)));
    if (workload.kind !== "router") return new LayeredMap([outbound, own]);
    const passed = patchedResources(read, read.ask(sniClusters, scope).values(), set, { contextOf: () => "GATEWAY" });
    return new LayeredMap([outbound, own, passed]);
  },
  equal: (before, after) => sameLayers(before, after) || sameMap(before, after),
});

const patchedOutboundListeners = defineQuery<PatchedClient, Resources>({
  name: "patchedOutboundListeners",
  key: clientKey,
  compute: (read, { scope, set }) =>
    patchedResources(read, byName(read.ask(outboundListenersOf, scope)).values(), set, {
      contextOf: () => "SIDECAR_OUTBOUND",
      adding: { applyTo: "LISTENER", contexts: ["SIDECAR_OUTBOUND"] },
    }),
  equal: sameMap,
});

/** All listeners of a proxy. */
export const scopeListeners = defineQuery<NodeScope, Resources>({
  name: "scopeListeners",
  key: scopeKey,
  compute: (read, scope) => {
    const { client, workload } = scope;
    const set = read.ask(patchesFor, workload);
    if (set === NO_PATCHES) return read.ask(plainListeners, scope);
    if (workload.kind === "router") {
      return patchedResources(read, read.ask(plainListeners, scope).values(), set, {
        contextOf: () => "GATEWAY",
        adding: { applyTo: "LISTENER", contexts: ["GATEWAY"] },
      });
    }
    const inbound = patchedResources(read, byName(read.ask(inboundListeners, workload)).values(), set, {
      contextOf: () => "SIDECAR_INBOUND",
      adding: { applyTo: "LISTENER", contexts: ["SIDECAR_INBOUND"] },
    });
    return byName([...read.ask(patchedOutboundListeners, { scope: client, set }).values(), ...inbound.values()]);
  },
  equal: sameMap,
});

const patchedRoutes = defineQuery<NodeScope, Resources>({
  name: "patchedRoutes",
  key: scopeKey,
  compute: (read, scope) => {
    const set = read.ask(patchesFor, scope.workload);
    const context = clientContext(scope.client);
    return patchedResources(read, plainRoutes(read, scope).values(), set, { contextOf: () => context });
  },
  equal: sameMap,
});

/** All route configurations of a proxy. */
export function scopeRoutes(read: Pick<Read, "ask">, scope: NodeScope): Resources {
  return read.ask(patchesFor, scope.workload) === NO_PATCHES
    ? plainRoutes(read, scope)
    : read.ask(patchedRoutes, scope);
}

/** One route configuration of a proxy; undefined when it has none of that name. */
export function routeResource(read: Pick<Read, "ask">, scope: NodeScope, name: string): EncodedResource | undefined {
  const resource = plainRoute(read, scope, name);
  const set = read.ask(patchesFor, scope.workload);
  if (resource === undefined || set === NO_PATCHES) return resource;
  return patchedRoute(read, resource, set, clientContext(scope.client));
}
