import type { Read } from "../engine/query-engine.ts";
import type { WorkloadScope } from "../scope.ts";
import { patchesOfFilter } from "../world/envoy-filters.ts";
import { scopePatches } from "../world/patch-sets.ts";
import { keysOf } from "../world/services.ts";
import { type CompilerWarning, warningAbout } from "./compiler-warning.ts";

/** The input cell of the scopes of proxies that asked for something. */
export const SCOPES_CELL = "scopes";

/** Patches that cannot be read, and what is withheld from proxies that cannot run it, each once. */
export function extensionWarnings(read: Read): readonly CompilerWarning[] {
  const unreadable = keysOf(read, "EnvoyFilter").flatMap((key) =>
    read.ask(patchesOfFilter, key).flatMap(({ index, problem }) => {
      if (problem === undefined) return [];
      const message = `this patch cannot be read and changes nothing: ${problem}`;
      return [warningAbout(key, "LTN3121", `spec.configPatches[${index}].patch.value`, message)];
    }),
  );
  const scopes = (read.input(SCOPES_CELL) as readonly WorkloadScope[] | undefined) ?? [];
  const withheld = new Map<string, CompilerWarning>();
  for (const scope of scopes) {
    const who = `${scope.lateen ? "Lateen's" : "some"} ${scope.kind === "router" ? "gateways" : "sidecars"}`;
    for (const { object, path, reason } of read.ask(scopePatches, scope).withheld) {
      const warning = warningAbout(object, "LTN3122", path, `withheld from ${who}: they ${reason}`);
      withheld.set(`${path} ${warning.message}`, warning);
    }
  }
  return [...unreadable, ...[...withheld].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, warning]) => warning)];
}
