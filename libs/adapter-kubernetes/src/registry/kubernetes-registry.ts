import { hash } from "node:crypto";
import { decodeObject, type KindName, kindDefinition, resourceKey } from "@lateen/mesh-model";
import type { RegistryDelta, RegistryObject, ServiceRegistry } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import type { ApiObject } from "../client/objects.ts";
import type { ResourceAddress } from "../client/resources.ts";
import { type FollowOptions, follow } from "../watch/follow.ts";
import type { Changes, Converted } from "../watch/held.ts";
import type { Watched } from "../watch/reflector.ts";
import { CREDENTIAL_VERSIONS, ReferencedObjects } from "./referenced-objects.ts";
import type { References } from "./references.ts";
import { type RegistryKind, trimmed } from "./trim.ts";

const KINDS: readonly RegistryKind[] = ["Namespace", "Node", "Service", "EndpointSlice", "Pod"];
/** Pods that have ended serve nobody. */
const RUNNING = "status.phase!=Succeeded,status.phase!=Failed";
const ORIGIN = { file: "kubernetes", line: 1, column: 1 };

export interface KubernetesRegistryOptions extends FollowOptions {
  /** Which Secrets and ConfigMaps to read; without it none are. */
  readonly references?: References;
}

/**
 * What runs in a cluster: Services, EndpointSlices, Pods, Nodes and Namespaces of all namespaces, and the credentials that are referred to.
 * The first delivery comes when all of them have been read; from then on what is delivered are differences, also after the API server was
 * away: what it said last stays in force. An object that cannot be read leaves its last good version in force.
 */
export function kubernetesRegistry(api: KubernetesApi, options: KubernetesRegistryOptions = {}): ServiceRegistry {
  return {
    async watch(scope, receive) {
      const { references } = options;
      const within = { ...options, scope };
      const kinds = KINDS.map(watched);
      if (references === undefined) {
        return follow(api, kinds, within, ({ snapshot, changes }) => receive(registryDelta(snapshot, changes)));
      }
      let gathered: Changes<RegistryObject> | undefined = new Map();
      const pass = (changes: Changes<RegistryObject>) => {
        if (gathered === undefined) return receive(registryDelta(false, changes));
        for (const [key, value] of changes) {
          if (value === undefined) gathered.delete(key);
          else gathered.set(key, value);
        }
      };
      const credentials = new ReferencedObjects(api, within, pass);
      const followed = Promise.all([
        follow(api, kinds, within, ({ changes }) => pass(changes)),
        follow(api, CREDENTIAL_VERSIONS, within, ({ changes }) => credentials.take(changes)),
      ]);
      references.watch(scope, (wanted) => credentials.want(wanted));
      await followed;
      await credentials.settled;
      if (scope.closed) return;
      const first = gathered;
      gathered = undefined;
      receive(registryDelta(true, first));
    },
  };
}

function watched(kind: RegistryKind): Watched<RegistryObject> {
  return {
    addresses: addressesOf(kind),
    ...(kind === "Pod" ? { fieldSelector: RUNNING } : {}),
    keyOf: (object) => keyOfObject(kind, object),
    convert: (object) => converted(kind, object),
  };
}

function converted(kind: RegistryKind, object: ApiObject): Converted<RegistryObject> {
  const value = trimmed(kind, object);
  const decoded = decodeObject(value, ORIGIN);
  if (!decoded.ok) {
    const reason = decoded.diagnostics.map(({ path, message }) => `${path}: ${message}`).join("; ");
    return { outcome: "refused", reason };
  }
  // The kind is the one that was asked for.
  return { outcome: "kept", value: decoded.object as RegistryObject, print: printOf(value) };
}

/** Short text that is equal for equal values. */
export function printOf(value: unknown): string {
  return hash("sha256", JSON.stringify(value), "base64url");
}

/** `Kind/namespace/name`, by which receivers know objects. */
export function keyOfObject(kind: KindName, { metadata }: ApiObject): string {
  return resourceKey(kind, metadata.namespace ?? "", metadata.name);
}

/** Where objects of a kind are, under each version that is understood. */
export function addressesOf(kind: KindName, namespace?: string): readonly [ResourceAddress, ...ResourceAddress[]] {
  const { group, versions, plural } = kindDefinition(kind);
  const [first, ...others] = versions;
  const at = (version: string) => ({ group, version, plural, ...(namespace === undefined ? {} : { namespace }) });
  return [at(first), ...others.map(at)];
}

function registryDelta(snapshot: boolean, changes: Changes<RegistryObject>): RegistryDelta {
  const upserted: RegistryObject[] = [];
  const removed: string[] = [];
  for (const [key, value] of changes) {
    if (value === undefined) removed.push(key);
    else upserted.push(value);
  }
  return { snapshot, upserted, removed };
}
