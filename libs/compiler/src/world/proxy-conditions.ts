import type { EnvoyFilter, Resource } from "@lateen/mesh-model";
import { RE2JS } from "re2js";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import type { ConfigPatch } from "../lower/patches/patch.ts";
import { WASM_TYPES } from "../lower/patches/wasm.ts";
import type { XdsNode } from "../node.ts";
import { sameList } from "../resource.ts";
import type { WorkloadScope } from "../scope.ts";
import { cells } from "./mesh-snapshot.ts";
import { keysOf } from "./services.ts";

/** What a patch asks of proxies, as text; empty: nothing. */
export function conditionOf({ match }: ConfigPatch): string {
  const { proxyVersion = "", metadata = {} } = match?.proxy ?? {};
  return proxyVersion === "" && Object.keys(metadata).length === 0 ? "" : JSON.stringify({ proxyVersion, metadata });
}

/** The condition that a proxy has an extension whose configuration is of this type. */
export function runsCondition(type: string): string {
  return `runs ${type}`;
}

/** Whatever looks like the type of an extension in the value of a patch. */
function typesIn(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, entry]) => {
    const named = ["@type", "type_url", "typeUrl", "type_urls", "typeUrls"].includes(key);
    const texts: readonly unknown[] = Array.isArray(entry) ? entry : [entry];
    return named
      ? texts.filter((text) => typeof text === "string").map((text) => text.slice(text.lastIndexOf("/") + 1))
      : texts.flatMap(typesIn);
  });
}

const conditionsOfObject = defineQuery<string, readonly string[]>({
  name: "conditionsOfObject",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as Resource<"EnvoyFilter" | "WasmPlugin"> | undefined;
    if (object?.kind === "WasmPlugin") return WASM_TYPES.map(runsCondition);
    const patches: readonly ConfigPatch[] = (object as EnvoyFilter | undefined)?.spec?.configPatches ?? [];
    const found = patches.flatMap((patch) => [conditionOf(patch), ...typesIn(patch.patch.value).map(runsCondition)]);
    return [...new Set(found)].filter((condition) => condition !== "").sort();
  },
  equal: sameList,
});

/** What EnvoyFilters and WasmPlugins ask of proxies, each once. */
export const proxyConditions = defineQuery<"", readonly string[]>({
  name: "proxyConditions",
  compute: (read) => {
    const keys = [...keysOf(read, "EnvoyFilter"), ...keysOf(read, "WasmPlugin")];
    return [...new Set(keys.flatMap((key) => read.ask(conditionsOfObject, key)))].sort();
  },
  equal: sameList,
});

/** The conditions that a node meets. */
export function conditionsMet(read: Pick<Read, "ask">, node: XdsNode): readonly string[] {
  return read.ask(proxyConditions, "").filter((condition) => meets(read, node, condition));
}

/** A node's version has a match, its metadata these values, it runs the extension. */
function meets(read: Pick<Read, "ask">, { version = "", metadata, types }: XdsNode, condition: string): boolean {
  if (condition.startsWith("runs ")) return runs(types, condition.slice("runs ".length));
  const wanted = JSON.parse(condition) as {
    readonly proxyVersion: string;
    readonly metadata: Readonly<Record<string, string>>;
  };
  const pattern = wanted.proxyVersion;
  if (pattern !== "" && !read.ask(versionMatches, { pattern, version })) return false;
  return Object.entries(wanted.metadata).every(([name, value]) => metadata?.[name] === value);
}

/** Whether a version has a match of an expression: proxies have few, and are asked about often. */
const versionMatches = defineQuery<{ readonly pattern: string; readonly version: string }, boolean>({
  name: "versionMatches",
  compute: (_read, { pattern, version }) => RE2JS.compile(pattern).matcher(version).find(),
});

/** An Envoy that does not list its extensions has those of Envoy's own. */
function runs(types: XdsNode["types"], type: string): boolean {
  return types === undefined ? type.startsWith("envoy.") : types.has(type);
}

/** Whether a proxy meets a condition of {@link proxyConditions}. */
export function meetsCondition(scope: WorkloadScope, condition: string): boolean {
  return scope.proxy?.includes(condition) ?? false;
}
