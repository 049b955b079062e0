import { err, ok, type Result } from "@lateen/kernel";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import type { EnvoyMessages } from "../lower/patches/messages.ts";
import { isForContext, MESSAGE_OF, mergePatch, type Patch, type PatchContext } from "../lower/patches/patch.ts";
import { scopeKey, type WorkloadScope } from "../scope.ts";
import { messagesOf } from "../world/envoy-messages.ts";
import { patchesFor } from "../world/patch-sets.ts";

interface BootstrapPatches {
  readonly messages: EnvoyMessages;
  readonly patches: readonly Patch[];
}

/** The patches for a proxy's bootstrap; undefined without any. */
const bootstrapPatches = defineQuery<WorkloadScope, BootstrapPatches | undefined>({
  name: "bootstrapPatches",
  key: scopeKey,
  compute: (read, scope) => {
    const contexts: readonly PatchContext[] =
      scope.kind === "router" ? ["GATEWAY"] : ["SIDECAR_INBOUND", "SIDECAR_OUTBOUND"];
    const patches = read
      .ask(patchesFor, scope)
      .patches.filter(
        (patch) => patch.applyTo === "BOOTSTRAP" && contexts.some((context) => isForContext(patch, context)),
      );
    return patches.length === 0 ? undefined : { messages: messagesOf(read), patches };
  },
});

/**
 * A bootstrap of Envoy (`envoy.config.bootstrap.v3.Bootstrap` as proto JSON) with the patches that EnvoyFilters have for it; the very
 * document without any. An error: the document is none.
 */
export function patchedBootstrap(
  read: Pick<Read, "ask">,
  scope: WorkloadScope,
  document: unknown,
): Result<unknown, string> {
  const found = read.ask(bootstrapPatches, scope);
  if (found === undefined) return ok(document);
  const { messages, patches } = found;
  const bootstrap = messages.parse(MESSAGE_OF.BOOTSTRAP, document);
  if (!bootstrap.ok) return err(bootstrap.error);
  for (const patch of patches) mergePatch(messages, bootstrap.value, patch);
  return ok(messages.print(bootstrap.value));
}
