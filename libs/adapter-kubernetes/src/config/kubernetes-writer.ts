import { encodeObject, kindDefinition, parseResourceKey, type Resource, type ResourceKey } from "@lateen/mesh-model";
import type { ConfigWriter } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import type { ApiObject } from "../client/objects.ts";
import type { ResourceAddress } from "../client/resources.ts";
import { isRefused } from "../errors.ts";

/** Somebody else may change the same object at the same time. */
const ATTEMPTS = 4;

/** Objects that the mesh makes itself, such as WorkloadEntries of workloads that register, in the API server. */
export function kubernetesConfigWriter(api: KubernetesApi): ConfigWriter {
  return {
    async write({ upserted, removed }) {
      for (const object of upserted) await put(api, object);
      for (const key of removed) await remove(api, key);
    },
  };
}

async function put(api: KubernetesApi, object: Resource): Promise<void> {
  const { kind, metadata } = object;
  const at = addressOf(kind, metadata.namespace);
  const wanted = encodeObject(object) as unknown as ApiObject;
  for (let attempt = 1; ; attempt++) {
    try {
      const found = await existing(api, at, metadata.name);
      if (found === undefined) await api.create(at, wanted);
      else {
        const { resourceVersion, uid } = found.metadata;
        const identity = { ...(resourceVersion ? { resourceVersion } : {}), ...(uid ? { uid } : {}) };
        await api.replace(at, { ...wanted, metadata: { ...wanted.metadata, ...identity } });
      }
      return;
    } catch (error) {
      if (!isRefused(error, 409) || attempt >= ATTEMPTS) throw error;
    }
  }
}

async function remove(api: KubernetesApi, key: ResourceKey): Promise<void> {
  const parts = parseResourceKey(key);
  if (parts === undefined) return;
  try {
    await api.remove(addressOf(parts.kind, parts.namespace), parts.name);
  } catch (error) {
    if (!isRefused(error, 404)) throw error;
  }
}

async function existing(api: KubernetesApi, at: ResourceAddress, name: string): Promise<ApiObject | undefined> {
  try {
    return await api.get(at, name);
  } catch (error) {
    if (isRefused(error, 404)) return undefined;
    throw error;
  }
}

function addressOf(kind: Resource["kind"], namespace: string): ResourceAddress {
  const { group, versions, plural } = kindDefinition(kind);
  return { group, version: versions[0], plural, ...(namespace === "" ? {} : { namespace }) };
}
