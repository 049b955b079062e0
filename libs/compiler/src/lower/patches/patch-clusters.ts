import { parseOutboundCluster } from "../names.ts";
import type { DynamicMessage, EnvoyMessages } from "./messages.ts";
import { listOf, mergePatch, type Patch, type PatchContext, patchesOf, text } from "./patch.ts";

type ClusterMatch = NonNullable<Patch["match"]["cluster"]>;

/** What tells a cluster from others. */
export interface ClusterPlace {
  readonly name: string;
  readonly context: PatchContext;
  /** Services behind the port of an inbound cluster, whose name does not tell. */
  readonly hosts: readonly string[];
}

/** The patches that are about a cluster. */
export function patchesOfCluster(place: ClusterPlace, patches: readonly Patch[]): readonly Patch[] {
  return patchesOf(patches, "CLUSTER", place.context).filter(
    ({ operation, match }) => operation !== "ADD" && isCluster(match.cluster, place),
  );
}

/** Applies these patches to a cluster, in place. Whether it stays. */
export function patchCluster(messages: EnvoyMessages, cluster: DynamicMessage, patches: readonly Patch[]): boolean {
  for (const patch of patches) {
    if (patch.operation === "REMOVE") return false;
    mergePatch(messages, cluster, intoSocketMatch(messages, cluster, patch));
  }
  return true;
}

/**
 * A cluster of the mesh picks its transport socket by endpoint. What a patch says of the socket is meant for the one of that name; the
 * patch that is left is for the rest of the cluster.
 */
function intoSocketMatch(messages: EnvoyMessages, cluster: DynamicMessage, patch: Patch): Patch {
  const socket = patch.value?.transportSocket as DynamicMessage | undefined;
  if (socket === undefined || patch.value === undefined) return patch;
  const matching = listOf(cluster, "transportSocketMatches").flatMap((entry) => {
    const own = entry.transportSocket as DynamicMessage | undefined;
    return own !== undefined && text(own, "name") === text(socket, "name") ? [own] : [];
  });
  if (matching.length === 0) return patch;
  for (const own of matching) mergePatch(messages, own, { ...patch, value: socket });
  const rest = messages.copy(patch.value);
  rest.transportSocket = undefined;
  return { ...patch, value: rest };
}

function isCluster(match: ClusterMatch | undefined, { name, hosts }: ClusterPlace): boolean {
  if (match === undefined) return true;
  if (match.name) return match.name === name;
  const parsed = parseOutboundCluster(name);
  const inbound = /^inbound\|(\d+)\|/.exec(name);
  const port = parsed?.port ?? (inbound === null ? undefined : Number(inbound[1]));
  if (match.service && ![parsed?.host, ...hosts].includes(match.service)) return false;
  if (match.subset && match.subset !== parsed?.subset) return false;
  return !match.portNumber || match.portNumber === port;
}
