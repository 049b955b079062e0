import type { WasmPlugin } from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import type { DynamicMessage } from "../lower/patches/messages.ts";
import type { FoundPatch } from "../lower/patches/patch.ts";
import { type LoweredPlugin, lowerPlugin } from "../lower/patches/wasm.ts";
import { sameList } from "../resource.ts";
import { scopeKey, type WorkloadScope } from "../scope.ts";
import { messagesOf } from "./envoy-messages.ts";
import { cells } from "./mesh-snapshot.ts";
import { selectsWorkload } from "./policies.ts";
import { meetsCondition, runsCondition } from "./proxy-conditions.ts";
import { compare, listOf, meshConfigOf } from "./services.ts";

interface ReadPlugin extends LoweredPlugin {
  readonly key: string;
  readonly id: string;
}

/** One plugin as Envoy takes it. */
const loweredPlugin = defineQuery<string, ReadPlugin | undefined>({
  name: "loweredPlugin",
  compute: (read, key) => {
    const plugin = read.input(cells.object(key)) as WasmPlugin | undefined;
    if (plugin === undefined) return undefined;
    return { ...lowerPlugin(messagesOf(read), plugin), key, id: `${key} ${JSON.stringify(plugin.spec)}` };
  },
});

const PHASES = ["AUTHN", "AUTHZ", "STATS", "UNSPECIFIED_PHASE"];

function phaseOf({ spec }: WasmPlugin): number {
  return PHASES.indexOf(spec.phase ?? "UNSPECIFIED_PHASE");
}

/** Plugins that a workload runs by phase: in each those of a higher priority first, then by name and namespace. */
const pluginsFor = defineQuery<WorkloadScope, readonly ReadPlugin[]>({
  name: "pluginsFor",
  key: scopeKey,
  compute: (read, scope) => {
    const { rootNamespace } = meshConfigOf(read);
    return [...new Set([rootNamespace, scope.namespace])]
      .flatMap((namespace) => listOf(read, "WasmPlugin", namespace))
      .filter((plugin) => selects(plugin, scope))
      .sort(
        (a, b) =>
          phaseOf(a) - phaseOf(b) ||
          (b.spec.priority ?? 0) - (a.spec.priority ?? 0) ||
          compare(a.metadata.name, b.metadata.name) ||
          compare(a.metadata.namespace, b.metadata.namespace),
      )
      .flatMap(({ metadata }) => read.ask(loweredPlugin, `WasmPlugin/${metadata.namespace}/${metadata.name}`) ?? []);
  },
  equal: sameList,
});

function selects({ metadata, spec }: WasmPlugin, scope: WorkloadScope): boolean {
  return selectsWorkload(metadata.namespace, spec, scope);
}

/** What plugins do to the chains of a workload's proxy. */
export const pluginPatches = defineQuery<WorkloadScope, readonly FoundPatch[]>({
  name: "pluginPatches",
  key: scopeKey,
  compute: (read, scope) =>
    read.ask(pluginsFor, scope).map(({ patch, id, key }) => ({ patch, id, object: key, path: "spec" })),
});

/** What the plugins of a workload's proxy are made of: configurations by name, and clusters to fetch code from. */
export function pluginParts(
  read: Pick<Read, "ask">,
  scope: WorkloadScope,
): { readonly extensions: readonly DynamicMessage[]; readonly sources: readonly DynamicMessage[] } {
  const plugins = read.ask(pluginsFor, scope).filter(({ type }) => meetsCondition(scope, runsCondition(type)));
  return {
    extensions: plugins.map(({ extension }) => extension),
    sources: plugins.flatMap(({ source }) => source ?? []),
  };
}
