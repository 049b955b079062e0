import { defineQuery, type Read } from "../engine/query-engine.ts";
import { type DynamicMessage, messageName } from "../lower/patches/messages.ts";
import { addedBy, type Patch, type PatchContext } from "../lower/patches/patch.ts";
import { patchCluster, patchesOfCluster } from "../lower/patches/patch-clusters.ts";
import { patchesOfListeners, patchListener } from "../lower/patches/patch-listener.ts";
import { patchesOfRoutes, patchRouteConfiguration } from "../lower/patches/patch-routes.ts";
import type { EncodedResource } from "../resource.ts";
import { messagesOf } from "../world/envoy-messages.ts";
import type { PatchSet } from "../world/patch-sets.ts";
import { intern } from "./encode.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

interface PatchedKey {
  readonly resource: EncodedResource;
  readonly set: PatchSet;
  readonly context: PatchContext;
  /** Services behind an inbound cluster. */
  readonly hosts?: readonly string[];
}

/**
 * A resource after the patches, the very resource when none is about it; undefined when it is removed. Kept for each: of a thousand
 * clusters that are patched, a change of one patches one.
 */
const patchedResource = defineQuery<PatchedKey, EncodedResource | undefined>({
  name: "patchedResource",
  key: ({ resource, set, context, hosts = [] }) =>
    `${resource.any.typeUrl} ${resource.name} ${resource.version} ${context} ${set.id} ${hosts.join()}`,
  compute: (read, key) => {
    const { resource, set, context, hosts = [] } = key;
    switch (messageName(resource.any.typeUrl)) {
      case "envoy.config.cluster.v3.Cluster": {
        const patches = patchesOfCluster({ name: resource.name, context, hosts }, set.patches);
        return changed(read, resource, patches, (cluster) => patchCluster(messagesOf(read), cluster, patches));
      }
      case "envoy.config.listener.v3.Listener": {
        const patches = patchesOfListeners(context, set.patches);
        return changed(
          read,
          resource,
          patches,
          (listener) => patchListener(messagesOf(read), listener, context, patches) !== undefined,
        );
      }
      default: {
        const patches = patchesOfRoutes({ name: resource.name, context }, set.patches);
        return changed(read, resource, patches, (config) => {
          patchRouteConfiguration(messagesOf(read), config, patches);
          return true;
        });
      }
    }
  },
});

/** Applies `change`, which tells whether the resource stays. */
function changed(
  read: Read,
  resource: EncodedResource,
  patches: readonly Patch[],
  change: (message: DynamicMessage) => boolean,
): EncodedResource | undefined {
  if (patches.length === 0) return resource;
  const message = messagesOf(read).decode(messageName(resource.any.typeUrl), resource.any.value);
  return change(message) ? encoded(read, message, resource.name) : undefined;
}

function encoded(read: Read, message: DynamicMessage, name: string): EncodedResource {
  const value = messagesOf(read).encode(message);
  return intern(read, name, { typeUrl: `type.googleapis.com/${message.$typeName}`, value });
}

/** Messages as resources by name; of several with one name the first stays. */
export function namedResources(read: Read, messages: readonly DynamicMessage[]): Resources {
  const result = new Map<string, EncodedResource>();
  for (const message of messages) {
    const name = String(message.name);
    if (name !== "" && !result.has(name)) result.set(name, encoded(read, message, name));
  }
  return result;
}

interface PatchedTogether {
  readonly contextOf: (name: string) => PatchContext;
  readonly hostsOf?: (name: string) => readonly string[];
  /** What is added, and for which contexts. */
  readonly adding?: { readonly applyTo: "CLUSTER" | "LISTENER"; readonly contexts: readonly PatchContext[] };
}

/** Resources after the patches; those that patches add come last and replace none. */
export function patchedResources(
  read: Read,
  resources: Iterable<EncodedResource>,
  set: PatchSet,
  { contextOf, hostsOf, adding }: PatchedTogether,
): Resources {
  const result = new Map<string, EncodedResource>();
  for (const resource of resources) {
    const hosts = hostsOf?.(resource.name) ?? [];
    const next = read.ask(patchedResource, { resource, set, context: contextOf(resource.name), hosts });
    if (next !== undefined) result.set(resource.name, next);
  }
  if (adding === undefined) return result;
  const added = addedBy(messagesOf(read), adding.applyTo, adding.contexts, set.patches);
  for (const [name, resource] of namedResources(read, added)) if (!result.has(name)) result.set(name, resource);
  return result;
}

/** A route configuration after the patches. */
export function patchedRoute(
  read: Pick<Read, "ask">,
  resource: EncodedResource,
  set: PatchSet,
  context: PatchContext,
): EncodedResource {
  return read.ask(patchedResource, { resource, set, context }) ?? resource;
}
