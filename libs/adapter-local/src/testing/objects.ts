import { decodeObject, keyOf, type Resource, type ResourceKey } from "@lateen/mesh-model";
import type { AcceptedObject, StoreChange } from "@lateen/ports";

const origin = { file: "a.yaml", line: 1, column: 1 };

function decoded(value: unknown): Resource {
  const result = decodeObject(value, origin);
  if (!result.ok) throw new Error(JSON.stringify(result.diagnostics));
  return result.object;
}

/** A ServiceEntry, as small as they get. */
export function serviceEntry(name: string, host = `${name}.example`): Resource {
  return decoded({
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name, namespace: "shop" },
    spec: { hosts: [host], ports: [{ number: 80, name: "http", protocol: "HTTP" }], resolution: "DNS" },
  });
}

export function accepted(object: Resource, revision: number, ownerFile: string | undefined = "a.yaml"): AcceptedObject {
  return { object, origin, ownerFile, revision };
}

export function change(
  revision: number,
  upserted: readonly Resource[],
  removed: readonly Resource[] = [],
): StoreChange {
  return {
    revision,
    upserted: upserted.map((object) => accepted(object, revision)),
    removed: removed.map(keyOf),
    rejected: [],
  };
}

/** Keys and revisions of what is stored. */
export function summary(objects: ReadonlyMap<ResourceKey, AcceptedObject>): Record<string, number> {
  return Object.fromEntries([...objects].map(([key, { revision }]) => [key, revision]));
}

export function pod(name: string, ip: string): Record<string, unknown> {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "shop", labels: { app: name } },
    spec: { containers: [{ name: "app", image: "app" }] },
    status: { podIP: ip, phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
  };
}
