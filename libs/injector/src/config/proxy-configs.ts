import type { Logger } from "@lateen/kernel";
import {
  type DecodedDocument,
  decodeObject,
  decodeText,
  diagnosticText,
  keyOf,
  type Resource,
  type ResourceKey,
} from "@lateen/mesh-model";
import type { AcceptedObject, RawDocument, StateDelta } from "@lateen/ports";

/** ProxyConfig objects that are in force. */
export type ProxyConfigs = readonly Resource<"ProxyConfig">[];

/** Picks the ProxyConfigs out of accepted configuration. @returns undefined for a delta that does not touch them. */
export function proxyConfigsOfTopic(): (delta: StateDelta<AcceptedObject>) => ProxyConfigs | undefined {
  const held = new Map<ResourceKey, Resource<"ProxyConfig">>();
  return ({ snapshot, upserted, removed }) => {
    let changed = snapshot;
    if (snapshot) held.clear();
    for (const { value } of upserted) {
      if (value.object.kind !== "ProxyConfig") continue;
      held.set(keyOf(value.object), value.object);
      changed = true;
    }
    for (const key of removed) changed = held.delete(key as ResourceKey) || changed;
    return changed ? [...held.values()] : undefined;
  };
}

type OfFile = ReadonlyMap<ResourceKey, Resource<"ProxyConfig">>;

/**
 * Picks the ProxyConfigs out of documents as a source delivers them. One that cannot be read leaves the one before, and is logged; of two of one
 * name the first holds. Objects of other kinds are nothing here.
 */
export function proxyConfigsOfDocuments(logger: Logger): (documents: readonly RawDocument[]) => ProxyConfigs {
  const files = new Map<string, OfFile>();
  return (documents) => {
    for (const document of documents) {
      const { file, text, unreadable } = document;
      if (unreadable !== undefined) logger.error({ event: "injector.file_unreadable", file, problem: unreadable });
      else if (text === undefined) files.delete(file);
      else files.set(file, readFile(document, files.get(file) ?? new Map(), logger));
    }
    const all = new Map<ResourceKey, Resource<"ProxyConfig">>();
    for (const held of files.values()) for (const [key, object] of held) if (!all.has(key)) all.set(key, object);
    return [...all.values()];
  };
}

function readFile({ file, text = "", value }: RawDocument, before: OfFile, logger: Logger): OfFile {
  const decoded =
    value === undefined ? decodeText({ file, text }) : [decodeObject(value, { file, line: 1, column: 1 })];
  const held = new Map<ResourceKey, Resource<"ProxyConfig">>();
  for (const each of decoded) {
    if (each.ok) {
      if (each.object.kind === "ProxyConfig") held.set(keyOf(each.object), each.object);
      continue;
    }
    if (!mayBeOne(each)) continue;
    const problems = each.diagnostics.map(diagnosticText).slice(0, 20);
    logger.error({ event: "injector.proxy_config_rejected", file, name: each.name, problems });
    // A document that does not even say which object it is might be any of those that were here.
    for (const [key, object] of before) if (each.key === undefined || each.key === key) held.set(key, object);
  }
  return held;
}

function mayBeOne(document: Extract<DecodedDocument, { ok: false }>): boolean {
  return !document.ignored && (document.kind === "ProxyConfig" || document.key === undefined);
}
