import { defineQuery } from "../engine/query-engine.ts";
import { addedBy } from "../lower/patches/patch.ts";
import { type EncodedResource, sameMap } from "../resource.ts";
import { scopeKey, type WorkloadScope } from "../scope.ts";
import { messagesOf } from "../world/envoy-messages.ts";
import { NO_PATCHES, patchesFor } from "../world/patch-sets.ts";
import { pluginParts } from "../world/wasm-plugins.ts";
import { namedResources } from "./patches.ts";

const NOTHING: ReadonlyMap<string, EncodedResource> = new Map();

/** Configurations of extensions that a proxy's filters ask for by name (ECDS). */
export const scopeExtensions = defineQuery<WorkloadScope, ReadonlyMap<string, EncodedResource>>({
  name: "scopeExtensions",
  key: scopeKey,
  compute: (read, scope) => {
    const { id, patches } = read.ask(patchesFor, scope);
    if (id === NO_PATCHES.id) return NOTHING;
    const contexts =
      scope.kind === "router" ? (["GATEWAY"] as const) : (["SIDECAR_INBOUND", "SIDECAR_OUTBOUND"] as const);
    return namedResources(read, [
      ...pluginParts(read, scope).extensions,
      ...addedBy(messagesOf(read), "EXTENSION_CONFIG", contexts, patches),
    ]);
  },
  equal: sameMap,
});
