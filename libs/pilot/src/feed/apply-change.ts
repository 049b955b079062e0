import { messageOf } from "@lateen/kernel";
import { keyOf, type MeshConfig, type ResourceKey } from "@lateen/mesh-model";
import type { PilotCompiler } from "../compiler-face.ts";
import type { WorldChange } from "./world.ts";

/** What became different beside objects. */
export interface ChangedSettings {
  readonly meshConfig?: MeshConfig;
  readonly keySets: ReadonlyMap<string, string>;
}

/**
 * Gives a change to the compiler. Should it throw, each object is given alone, so that one which cannot be taken over leaves the others
 * alone.
 * @returns what could not be taken over, and why; the compiler goes on with what it had.
 */
export function applyChange(
  compiler: PilotCompiler,
  change: WorldChange,
  settings: ChangedSettings,
): ReadonlyMap<ResourceKey | "meshConfig", string> {
  const { meshConfig, keySets } = settings;
  try {
    compiler.apply({ ...change, ...settings });
    return new Map();
  } catch {
    // Which part of it was the cause shows below.
  }
  const failed = new Map<ResourceKey | "meshConfig", string>();
  const attempt = (what: ResourceKey | "meshConfig", step: () => void) => {
    try {
      step();
    } catch (error) {
      failed.set(what, messageOf(error));
    }
  };
  if (keySets.size > 0) attempt("meshConfig", () => compiler.apply({ upserted: [], removed: [], keySets }));
  if (meshConfig !== undefined) {
    attempt("meshConfig", () => compiler.apply({ upserted: [], removed: [], meshConfig }));
  }
  for (const key of change.removed) attempt(key, () => compiler.apply({ upserted: [], removed: [key] }));
  for (const object of change.upserted) {
    attempt(keyOf(object), () => compiler.apply({ upserted: [object], removed: [] }));
  }
  return failed;
}
