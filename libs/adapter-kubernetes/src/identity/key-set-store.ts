import { createHash } from "node:crypto";
import type { KeySetStore } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import { type Fields, isFields } from "../client/objects.ts";
import { isRefused } from "../errors.ts";

/** Of the ConfigMap. */
export const KEY_SETS_MAP = "lateen-issuer-keys";

/**
 * Key sets of token issuers in a ConfigMap of the control plane's namespace, one entry each, named by a hash of its URL: an entry is replaced by
 * a merge patch, so replicas do not undo what others wrote. All together hold at most the megabyte of a ConfigMap; what does not fit is not
 * kept, which the caller is told.
 */
export function kubernetesKeySetStore(api: KubernetesApi, options: { readonly namespace?: string } = {}): KeySetStore {
  const { namespace = api.namespace } = options;
  const maps = { group: "", version: "v1", plural: "configmaps", namespace };
  return {
    async load() {
      const found = new Map<string, string>();
      const data = await api.get(maps, KEY_SETS_MAP).then(
        (map): Fields => (isFields(map.data) ? map.data : {}),
        (error: unknown) => {
          if (isRefused(error, 404)) return {};
          throw error;
        },
      );
      for (const [name, text] of Object.entries(data)) {
        const kept = typeof text === "string" ? parsed(text) : undefined;
        if (kept !== undefined && nameOf(kept.url) === name) found.set(kept.url, kept.keys);
      }
      return found;
    },
    async save(url, keys) {
      const data = { [nameOf(url)]: keys === undefined ? null : JSON.stringify({ url, keys }) };
      const patch = () => api.patch(maps, KEY_SETS_MAP, { data });
      try {
        await patch();
      } catch (error) {
        if (!isRefused(error, 404)) throw error;
        if (keys === undefined) return;
        const metadata = { name: KEY_SETS_MAP, namespace, labels: { "app.kubernetes.io/part-of": "lateen" } };
        await api.create(maps, { apiVersion: "v1", kind: "ConfigMap", metadata, data }).catch((refused: unknown) => {
          // Another replica was quicker.
          if (isRefused(refused, 409)) return patch();
          throw refused;
        });
      }
    },
  };
}

const nameOf = (url: string) => createHash("sha256").update(url).digest("hex");

function parsed(text: string): { readonly url: string; readonly keys: string } | undefined {
  try {
    const { url, keys } = JSON.parse(text) as { readonly url?: unknown; readonly keys?: unknown };
    return typeof url === "string" && typeof keys === "string" ? { url, keys } : undefined;
  } catch {
    return undefined;
  }
}
