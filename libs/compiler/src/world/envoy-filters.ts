import type { EnvoyFilter } from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { type ConfigPatch, type FilterPlace, type FoundPatch, MESSAGE_OF, type Patch } from "../lower/patches/patch.ts";
import { scopeKey, type WorkloadScope } from "../scope.ts";
import { messagesOf } from "./envoy-messages.ts";
import { cells } from "./mesh-snapshot.ts";
import { byAge } from "./objects.ts";
import { selectsWorkload } from "./policies.ts";
import { conditionOf, meetsCondition } from "./proxy-conditions.ts";
import { listOf, meshConfigOf } from "./services.ts";

/** A patch as written, read or not. */
export interface ReadPatch {
  readonly index: number;
  /** What it says, as text. */
  readonly id: string;
  /** What the proxy must be; see {@link satisfies}. */
  readonly proxy: string;
  readonly patch: Patch | undefined;
  /** Why it cannot be used. */
  readonly problem: string | undefined;
}

/** The patches of one EnvoyFilter. */
export const patchesOfFilter = defineQuery<string, readonly ReadPatch[]>({
  name: "patchesOfFilter",
  compute: (read, key) => {
    const filter = read.input(cells.object(key)) as EnvoyFilter | undefined;
    return (filter?.spec?.configPatches ?? []).map((written, index) => readPatch(read, written, index));
  },
});

const PLACES: Readonly<Record<NonNullable<ConfigPatch["patch"]["filterClass"]>, FilterPlace>> = {
  UNSPECIFIED: "LAST",
  AUTHN: "AFTER_AUTHN",
  AUTHZ: "AFTER_AUTHZ",
  STATS: "BEFORE_STATS",
};

function readPatch(read: Read, written: ConfigPatch, index: number): ReadPatch {
  const { applyTo, match = {}, patch } = written;
  const base = { index, id: JSON.stringify(written), proxy: conditionOf(written) };
  const place = PLACES[patch.filterClass ?? "UNSPECIFIED"];
  const make = (value: Patch["value"]): ReadPatch => ({
    ...base,
    problem: undefined,
    patch: { applyTo, operation: patch.operation, place, match, value },
  });
  if (patch.operation === "REMOVE") return make(undefined);
  const value = messagesOf(read).parse(MESSAGE_OF[applyTo], patch.value);
  if (!value.ok) return { ...base, patch: undefined, problem: value.error };
  const named = ["LISTENER", "CLUSTER", "EXTENSION_CONFIG", "VIRTUAL_HOST"].includes(applyTo);
  if (named && patch.operation === "ADD" && !value.value.name) {
    return { ...base, patch: undefined, problem: "what is added needs a name" };
  }
  return make(value.value);
}

/** What EnvoyFilters do to a workload's proxy: those of the root namespace, then of its own; each by priority, age and name. */
export const filterPatches = defineQuery<WorkloadScope, readonly FoundPatch[]>({
  name: "filterPatches",
  key: scopeKey,
  compute: (read, scope) => {
    const { rootNamespace } = meshConfigOf(read);
    return [...new Set([rootNamespace, scope.namespace])]
      .flatMap((namespace) => byPriority(listOf(read, "EnvoyFilter", namespace)))
      .filter((filter) => selects(filter, scope))
      .flatMap(({ metadata }) => {
        const object = `EnvoyFilter/${metadata.namespace}/${metadata.name}`;
        return read.ask(patchesOfFilter, object).flatMap(({ patch, proxy, index, id }) => {
          if (patch === undefined || (proxy !== "" && !meetsCondition(scope, proxy))) return [];
          return [{ patch, id, object, path: `spec.configPatches[${index}]` }];
        });
      });
  },
});

function byPriority(filters: readonly EnvoyFilter[]): readonly EnvoyFilter[] {
  // Stable: of equal priority the oldest stays in front.
  return [...byAge(filters)].sort((a, b) => (a.spec?.priority ?? 0) - (b.spec?.priority ?? 0));
}

function selects({ metadata, spec }: EnvoyFilter, scope: WorkloadScope): boolean {
  const { workloadSelector, targetRefs = [] } = spec ?? {};
  return selectsWorkload(
    metadata.namespace,
    { selector: { matchLabels: workloadSelector?.labels ?? {} }, targetRefs },
    scope,
  );
}
