import { decodeObject, encodeObject, keyOf, type Origin, type ResourceKey } from "@lateen/mesh-model";
import type { AcceptedObject, FileOverride, RejectedObject, StoreChange, StoredState } from "@lateen/ports";

/** An object as the store keeps it: the JSON that users know, so that a later release reads it with its own decoder. */
export interface StoredObject {
  readonly key: ResourceKey;
  readonly object: Record<string, unknown>;
  readonly origin: Origin;
  readonly ownerFile?: string;
  readonly revision: number;
}

/** The payload of one journal record. */
export interface StoredChange {
  readonly revision: number;
  readonly upserted: readonly StoredObject[];
  readonly removed: readonly ResourceKey[];
  /** Left out when it did not change. */
  readonly rejected?: readonly RejectedObject[];
  readonly overrides?: readonly FileOverride[];
}

/** Everything a store holds, in stored form; what a snapshot contains. */
export interface StoredContent {
  revision: number;
  readonly objects: Map<ResourceKey, StoredObject>;
  rejected: readonly RejectedObject[];
  overrides: readonly FileOverride[];
}

export function emptyContent(): StoredContent {
  return { revision: 0, objects: new Map(), rejected: [], overrides: [] };
}

export function toStoredChange(change: StoreChange, content: StoredContent): StoredChange {
  const overrides = change.overrides ?? content.overrides;
  return {
    revision: change.revision,
    upserted: change.upserted.map(toStoredObject),
    removed: change.removed,
    ...(sameJson(change.rejected, content.rejected) ? {} : { rejected: change.rejected }),
    ...(sameJson(overrides, content.overrides) ? {} : { overrides }),
  };
}

function sameJson(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function toStoredObject(accepted: AcceptedObject): StoredObject {
  return {
    key: keyOf(accepted.object),
    object: encodeObject(accepted.object),
    origin: accepted.origin,
    ...(accepted.ownerFile === undefined ? {} : { ownerFile: accepted.ownerFile }),
    revision: accepted.revision,
  };
}

export function applyStoredChange(content: StoredContent, change: StoredChange): void {
  content.revision = change.revision;
  for (const key of change.removed) content.objects.delete(key);
  for (const object of change.upserted) content.objects.set(object.key, object);
  if (change.rejected) content.rejected = change.rejected;
  if (change.overrides) content.overrides = change.overrides;
}

/**
 * Decodes everything. An object that this release refuses (it was accepted by another one) is reported as rejected; it stays in
 * the store, so that going back to the other release brings it back.
 */
export function toStoredState(content: StoredContent): StoredState {
  const objects = new Map<ResourceKey, AcceptedObject>();
  const rejected: RejectedObject[] = [...content.rejected];
  for (const stored of content.objects.values()) {
    const decoded = decodeObject(stored.object, stored.origin);
    if (decoded.ok) {
      const { origin, ownerFile, revision } = stored;
      objects.set(stored.key, { object: decoded.object, origin, ownerFile, revision });
    } else {
      const { kind, namespace, name, diagnostics } = decoded;
      rejected.push({
        key: stored.key,
        kind,
        namespace,
        name,
        file: stored.origin.file,
        diagnostics,
        lastGoodServes: false,
      });
    }
  }
  return { revision: content.revision, objects, rejected, overrides: content.overrides };
}
