import { createHash } from "node:crypto";
import { defineQuery } from "../engine/query-engine.ts";
import type { Patch } from "../lower/patches/patch.ts";
import { suitability } from "../lower/patches/withheld.ts";
import { scopeKey, type WorkloadScope } from "../scope.ts";
import { filterPatches } from "./envoy-filters.ts";
import { messagesOf } from "./envoy-messages.ts";
import { meetsCondition, runsCondition } from "./proxy-conditions.ts";
import { pluginPatches } from "./wasm-plugins.ts";

/** All patches for a proxy, in order. Equal ids mean equal patches. */
export interface PatchSet {
  readonly id: string;
  readonly patches: readonly Patch[];
}

export const NO_PATCHES: PatchSet = { id: "", patches: [] };

/** A patch that a proxy gets, in part or not at all. */
export interface WithheldPatch {
  /** Key of the object that it is in. */
  readonly object: string;
  readonly path: string;
  readonly reason: string;
}

interface ScopePatches {
  readonly set: PatchSet;
  readonly withheld: readonly WithheldPatch[];
}

/**
 * The patches for a workload: its plugins, then those of the root namespace, then those of its own; each by priority, age and name.
 * What the proxy cannot run is left out, for it would be refused with the whole resource.
 */
export const scopePatches = defineQuery<WorkloadScope, ScopePatches>({
  name: "scopePatches",
  key: scopeKey,
  compute: (read, scope) => {
    const found = [...read.ask(pluginPatches, scope), ...read.ask(filterPatches, scope)];
    if (found.length === 0) return { set: NO_PATCHES, withheld: [] };
    const runner = { lateen: scope.lateen, runs: (type: string) => meetsCondition(scope, runsCondition(type)) };
    const patches: Patch[] = [];
    const ids: string[] = [];
    const withheld: WithheldPatch[] = [];
    for (const { patch, id, object, path } of found) {
      const fit = suitability(messagesOf(read), patch, runner);
      const given = fit.kind === "whole" ? patch : fit.instead;
      if (fit.kind === "withheld") withheld.push({ object, path, reason: fit.reason });
      if (given === undefined) continue;
      patches.push(given);
      ids.push(`${fit.kind} ${id}`);
    }
    if (patches.length === 0) return { set: NO_PATCHES, withheld };
    return {
      set: { id: createHash("sha256").update(ids.join("\n")).digest("base64url").slice(0, 22), patches },
      withheld,
    };
  },
  equal: (before, after) =>
    before.set.id === after.set.id && JSON.stringify(before.withheld) === JSON.stringify(after.withheld),
});

/** The patches that a proxy gets. */
export const patchesFor = defineQuery<WorkloadScope, PatchSet>({
  name: "patchesFor",
  key: scopeKey,
  compute: (read, scope) => read.ask(scopePatches, scope).set,
  equal: (before, after) => before.id === after.id,
});
