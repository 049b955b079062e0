import {
  keyOf,
  labelSelectorMatches,
  type MeshConfig,
  parseResourceKey,
  type Resource,
  type ResourceKey,
} from "@lateen/mesh-model";
import type { Labels } from "../lower/proto.ts";
import type { MeshSnapshot } from "./mesh-snapshot.ts";

/** A change as the mesh sees it. */
export interface VisibleChange {
  readonly upserted: readonly Resource[];
  readonly removed: readonly ResourceKey[];
}

/** Every namespace has it, as in Kubernetes. */
const NAME_LABEL = "kubernetes.io/metadata.name";

/** Whether discovery selectors let a namespace with these labels be seen; "" is that of objects without one. */
export function isDiscovered(
  namespace: string,
  labels: Labels | undefined,
  { rootNamespace, discoverySelectors = [] }: MeshConfig,
): boolean {
  if (namespace === "" || namespace === rootNamespace || discoverySelectors.length === 0) return true;
  const all = { [NAME_LABEL]: namespace, ...labels };
  return discoverySelectors.some((selector) => labelSelectorMatches(selector, all));
}

/**
 * Keeps objects of namespaces that no discovery selector selects away from everybody, until one does. Seen always: objects
 * without a namespace, and the root namespace, whose policies hold for the mesh. While there are no selectors nothing is kept.
 */
export class Discovery {
  readonly #snapshot: MeshSnapshot;
  readonly #labels = new Map<string, Labels>();
  readonly #hidden = new Map<ResourceKey, Resource>();
  #config: MeshConfig;

  constructor(snapshot: MeshSnapshot, config: MeshConfig) {
    this.#snapshot = snapshot;
    this.#config = config;
  }

  /** What becomes of a change, objects included that it lets appear or disappear. */
  take(change: VisibleChange, config: MeshConfig = this.#config): VisibleChange {
    const judgedAnew = config !== this.#config || this.#takeLabels(change);
    this.#config = config;
    if (this.#selectors.length === 0 && this.#hidden.size === 0) return change;
    const upserted: Resource[] = [];
    const removed = [...change.removed];
    for (const key of change.removed) this.#hidden.delete(key);
    for (const object of change.upserted) this.#place(object, upserted, removed);
    if (judgedAnew) {
      const changed = new Set(change.upserted.map(keyOf));
      const gone = new Set(change.removed);
      for (const object of [...this.#hidden.values()]) this.#place(object, upserted, removed);
      for (const object of this.#snapshot.objects()) {
        const key = keyOf(object);
        if (changed.has(key) || gone.has(key) || this.#sees(object.metadata.namespace)) continue;
        this.#hidden.set(key, object);
        removed.push(key);
      }
    }
    return { upserted, removed };
  }

  get #selectors(): NonNullable<MeshConfig["discoverySelectors"]> {
    return this.#config.discoverySelectors ?? [];
  }

  #place(object: Resource, upserted: Resource[], removed: ResourceKey[]): void {
    const key = keyOf(object);
    if (this.#sees(object.metadata.namespace)) {
      this.#hidden.delete(key);
      upserted.push(object);
    } else {
      this.#hidden.set(key, object);
      removed.push(key);
    }
  }

  #sees(namespace: string): boolean {
    return isDiscovered(namespace, this.#labels.get(namespace), this.#config);
  }

  /** Whether namespaces may be seen otherwise now. */
  #takeLabels({ upserted, removed }: VisibleChange): boolean {
    let changed = false;
    for (const key of removed) {
      const { kind, name = "" } = parseResourceKey(key) ?? {};
      if (kind === "Namespace" && this.#labels.delete(name)) changed = true;
    }
    for (const { kind, metadata } of upserted) {
      if (kind !== "Namespace") continue;
      this.#labels.set(metadata.name, metadata.labels ?? {});
      changed = true;
    }
    return changed;
  }
}
