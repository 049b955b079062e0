import { kindDefinition, parseResourceKey, type ResourceKey } from "@lateen/mesh-model";
import type { Condition, StatusWriter } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import { type Fields, isFields } from "../client/objects.ts";
import { isRefused } from "../errors.ts";
import { printOf } from "../registry/kubernetes-registry.ts";
import { mergedStatus } from "./merge-status.ts";

/** Somebody else may write the same status at the same time. */
const ATTEMPTS = 4;
const MAX_REMEMBERED = 50_000;

/**
 * Writes statuses to the API server, each only when it says something else than before. Meant for one replica at a time: of two that
 * disagree each would undo what the other wrote.
 * @param controller name under which the mesh's parts of a status are found, as in `status.parents[].controllerName`.
 */
export function kubernetesStatusWriter(api: KubernetesApi, controller = "istio.io/gateway-controller"): StatusWriter {
  const written = new Map<ResourceKey, string>();
  const write = async (key: ResourceKey, ours: Fields): Promise<void> => {
    const print = printOf(ours);
    if (written.get(key) === print) return;
    await writeOnce(api, key, ours, controller);
    const [oldest] = written.keys();
    if (written.size >= MAX_REMEMBERED && oldest !== undefined) written.delete(oldest);
    written.set(key, print);
  };
  return {
    write: (key: ResourceKey, conditions: readonly Condition[]) => write(key, { conditions }),
    writeStatus: write,
  };
}

async function writeOnce(api: KubernetesApi, key: ResourceKey, ours: Fields, controller: string): Promise<void> {
  const parts = parseResourceKey(key);
  if (parts === undefined) return;
  const { group, versions, plural } = kindDefinition(parts.kind);
  const at = { group, version: versions[0], plural, ...(parts.namespace === "" ? {} : { namespace: parts.namespace }) };
  for (let attempt = 1; ; attempt++) {
    try {
      const { status: found, metadata } = await api.get(at, parts.name);
      const before = isFields(found) ? found : {};
      const status = mergedStatus(before, ours, controller);
      if (JSON.stringify(status) === JSON.stringify(before)) return;
      const { resourceVersion } = metadata;
      await api.patch(at, parts.name, { metadata: { resourceVersion }, status }, "status");
      return;
    } catch (error) {
      // Gone meanwhile: nobody reads its status any more.
      if (isRefused(error, 404)) return;
      if (!isRefused(error, 409) || attempt >= ATTEMPTS) throw error;
    }
  }
}
