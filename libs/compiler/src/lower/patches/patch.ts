import type { EnvoyFilter } from "@lateen/mesh-model";
import type { DynamicMessage, EnvoyMessages } from "./messages.ts";

export type ConfigPatch = NonNullable<NonNullable<EnvoyFilter["spec"]>["configPatches"]>[number];
export type ApplyTo = ConfigPatch["applyTo"];
export type PatchContext = "SIDECAR_INBOUND" | "SIDECAR_OUTBOUND" | "GATEWAY";

/**
 * Where an added HTTP or network filter goes, relative to those of the control plane: of an EnvoyFilter by its `filterClass`, of a
 * WasmPlugin by its phase. LAST is before the filter that ends the chain.
 */
export type FilterPlace =
  | "BEFORE_AUTHN"
  | "AFTER_AUTHN"
  | "BEFORE_AUTHZ"
  | "AFTER_AUTHZ"
  | "AFTER_POLICIES"
  | "BEFORE_STATS"
  | "LAST";

/** Traffic that a patch is about, if not all. */
export interface TrafficSelector {
  readonly contexts: readonly PatchContext[];
  /** Ports of listeners; none: all. */
  readonly ports: readonly number[];
}

/** One patch, its value read. */
export interface Patch {
  readonly applyTo: ApplyTo;
  readonly operation: ConfigPatch["patch"]["operation"];
  readonly place: FilterPlace;
  readonly match: NonNullable<ConfigPatch["match"]>;
  /** One of these must be met as well; undefined: nothing more. */
  readonly traffic?: readonly TrafficSelector[];
  /** Of a plugin: what happens where it cannot run. Undefined: as its class says. */
  readonly failsOpen?: boolean;
  /** Undefined for REMOVE. */
  readonly value: DynamicMessage | undefined;
}

/** A patch for a proxy and where it is written. */
export interface FoundPatch {
  readonly patch: Patch;
  /** What it says, as text. */
  readonly id: string;
  readonly object: string;
  readonly path: string;
}

/** What a patch of this kind holds. */
export const MESSAGE_OF: Readonly<Record<ApplyTo, string>> = {
  LISTENER: "envoy.config.listener.v3.Listener",
  FILTER_CHAIN: "envoy.config.listener.v3.FilterChain",
  LISTENER_FILTER: "envoy.config.listener.v3.ListenerFilter",
  NETWORK_FILTER: "envoy.config.listener.v3.Filter",
  HTTP_FILTER: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
  ROUTE_CONFIGURATION: "envoy.config.route.v3.RouteConfiguration",
  VIRTUAL_HOST: "envoy.config.route.v3.VirtualHost",
  HTTP_ROUTE: "envoy.config.route.v3.Route",
  CLUSTER: "envoy.config.cluster.v3.Cluster",
  EXTENSION_CONFIG: "envoy.config.core.v3.TypedExtensionConfig",
  BOOTSTRAP: "envoy.config.bootstrap.v3.Bootstrap",
};

/** Whether a patch is for a context at all. */
export function isForContext({ match, traffic }: Patch, context: PatchContext): boolean {
  const wanted = match.context ?? "ANY";
  if (wanted !== "ANY" && wanted !== context) return false;
  return traffic === undefined || traffic.some(({ contexts }) => contexts.includes(context));
}

/** Patches of one kind that are for a context. */
export function patchesOf(patches: readonly Patch[], applyTo: ApplyTo, context: PatchContext): readonly Patch[] {
  return patches.filter((patch) => patch.applyTo === applyTo && isForContext(patch, context));
}

/** Messages that patches add as a whole. Patches for any context add once. */
export function addedBy(
  messages: EnvoyMessages,
  applyTo: ApplyTo,
  contexts: readonly PatchContext[],
  patches: readonly Patch[],
): readonly DynamicMessage[] {
  return patches.flatMap((patch) =>
    patch.applyTo === applyTo &&
    patch.operation === "ADD" &&
    patch.value !== undefined &&
    contexts.some((context) => isForContext(patch, context))
      ? [messages.copy(patch.value)]
      : [],
  );
}

interface NamedList {
  readonly list: DynamicMessage[];
  /** Whether the patch is about this member. */
  readonly selects: (member: DynamicMessage, patch: Patch) => boolean;
  /** The patch names a member; without one INSERT_BEFORE means the first place and INSERT_AFTER that of ADD. */
  readonly names: (patch: Patch) => boolean;
  /** Where ADD puts a member; default: last. */
  readonly addAt?: (patch: Patch) => number;
}

/** Applies one patch to the members of a list, in place. Whether anything changed. */
export function patchList(messages: EnvoyMessages, patch: Patch, { list, selects, names, addAt }: NamedList): boolean {
  const { operation, value } = patch;
  const at = list.findIndex((member) => selects(member, patch));
  const insert = (index: number) => {
    if (value === undefined) return false;
    list.splice(index, 0, messages.copy(value));
    return true;
  };
  const last = () => addAt?.(patch) ?? list.length;
  switch (operation) {
    case "ADD":
      return insert(last());
    case "INSERT_FIRST":
      return insert(0);
    case "INSERT_BEFORE":
      return names(patch) ? at >= 0 && insert(at) : insert(0);
    case "INSERT_AFTER":
      return names(patch) ? at >= 0 && insert(at + 1) : insert(last());
    case "REMOVE": {
      const kept = list.filter((member) => !selects(member, patch));
      const changed = kept.length < list.length;
      list.splice(0, list.length, ...kept);
      return changed;
    }
    case "REPLACE":
      if (at < 0 || value === undefined) return false;
      list[at] = messages.copy(value);
      return true;
    case "MERGE":
    case "MERGE_AND_REPLACE_LIST": {
      const selected = list.filter((member) => selects(member, patch));
      for (const member of selected) mergePatch(messages, member, patch);
      return selected.length > 0 && value !== undefined;
    }
  }
}

/** Merges the value of a MERGE into a message; other operations leave it as it is. Whether anything changed. */
export function mergePatch(messages: EnvoyMessages, target: DynamicMessage, { operation, value }: Patch): boolean {
  if (value === undefined || (operation !== "MERGE" && operation !== "MERGE_AND_REPLACE_LIST")) return false;
  messages.merge(target, messages.copy(value), operation === "MERGE" ? "append" : "replace");
  return true;
}

/** A field that holds messages. */
export function listOf(message: DynamicMessage, field: string): DynamicMessage[] {
  return message[field] as DynamicMessage[];
}

/** A text field; empty when it is not set. */
export function text(message: DynamicMessage | undefined, field: string): string {
  const value = message?.[field];
  return typeof value === "string" ? value : "";
}
