import { type Diagnostic, keyOf, type Origin, type Resource, type ResourceKey } from "@lateen/mesh-model";
import type { AcceptedObject, FileOverride, RejectedObject, StoreChange } from "@lateen/ports";
import { AddressBook } from "./address-book.ts";
import { adopt, counted } from "./adopt.ts";
import { codes, problem } from "./errors.ts";
import type { Fingerprints } from "./fingerprint.ts";

/** What galley holds between two changes. Immutable: a change makes the next one. */
export interface GalleyState {
  readonly revision: number;
  readonly objects: ReadonlyMap<ResourceKey, AcceptedObject>;
  readonly rejected: readonly RejectedObject[];
  readonly overrides: readonly FileOverride[];
}

/** What a draft needs from outside. */
export interface DraftContext {
  /** Wall clock in milliseconds, for creation times. */
  readonly nowMs: number;
  readonly fingerprints: Fingerprints;
  /** From an object as decoded to the object it was put in force as: what did not change needs no comparing. */
  readonly adopted: WeakMap<Resource, Resource>;
  readonly maxObjects: number;
  /** The source counts generations itself, as an API server does. */
  readonly countedBySource: boolean;
}

export type Acceptance =
  | { readonly action: "created" | "configured" | "unchanged" }
  | { readonly action: "rejected"; readonly diagnostics: readonly Diagnostic[] };

/** The outcome of a draft: the next state, and what has to be stored and published to get there. */
export interface FinishedDraft {
  readonly state: GalleyState;
  /** undefined when nothing has to be stored. */
  readonly change: StoreChange | undefined;
}

/** A change in the making on top of a state. Nothing outside sees it before {@link Draft.finish} was committed. */
export class Draft {
  readonly #base: GalleyState;
  readonly #context: DraftContext;
  readonly #objects: Map<ResourceKey, AcceptedObject>;
  readonly #addresses = new AddressBook();
  overrides: readonly FileOverride[];

  constructor(base: GalleyState, context: DraftContext) {
    this.#base = base;
    this.#context = context;
    this.#objects = new Map(base.objects);
    this.overrides = base.overrides;
    for (const { object } of base.objects.values()) {
      const address = addressOf(object);
      if (address !== undefined) this.#addresses.claim(address, keyOf(object));
    }
  }

  get(key: ResourceKey): AcceptedObject | undefined {
    return this.#objects.get(key);
  }

  keys(): Iterable<ResourceKey> {
    return this.#objects.keys();
  }

  values(): Iterable<AcceptedObject> {
    return this.#objects.values();
  }

  remove(key: ResourceKey): void {
    const current = this.#objects.get(key);
    if (!current) return;
    const address = addressOf(current.object);
    if (address !== undefined) this.#addresses.free(address);
    this.#objects.delete(key);
  }

  /** Puts a decoded object in force, completed as an API server would, unless it may not be. */
  accept(candidate: Resource, origin: Origin, ownerFile: string | undefined): Acceptance {
    const key = keyOf(candidate);
    const current = this.#objects.get(key);
    if (!current && this.#objects.size >= this.#context.maxObjects) {
      const message = `there are already ${this.#context.maxObjects} objects`;
      return { action: "rejected", diagnostics: [problem(codes.tooManyObjects, origin, message)] };
    }
    if (current && this.#context.adopted.get(candidate) === current.object) {
      return this.#keep(key, current, origin, ownerFile);
    }
    const adopted = adopt(candidate, {
      key,
      current: current?.object,
      origin,
      nowMs: this.#context.nowMs,
      addresses: this.#addresses,
      countedBySource: this.#context.countedBySource,
    });
    if (!adopted.ok) return { action: "rejected", diagnostics: adopted.error };
    if (current && this.#sameMeaning(current.object, adopted.value)) {
      this.#context.adopted.set(candidate, current.object);
      return this.#keep(key, current, origin, ownerFile);
    }
    const object = this.#context.countedBySource ? adopted.value : counted(adopted.value, current?.object);
    this.#context.adopted.set(candidate, object);
    const before = current && addressOf(current.object);
    if (before !== undefined) this.#addresses.free(before);
    const address = addressOf(object);
    if (address !== undefined) this.#addresses.claim(address, key);
    this.#objects.set(key, { object, origin, ownerFile, revision: this.#base.revision + 1 });
    return { action: current ? "configured" : "created" };
  }

  /** The same meaning, perhaps written elsewhere. */
  #keep(key: ResourceKey, current: AcceptedObject, origin: Origin, ownerFile: string | undefined): Acceptance {
    if (current.ownerFile !== ownerFile || !sameOrigin(current.origin, origin)) {
      this.#objects.set(key, { ...current, origin, ownerFile });
    }
    return { action: "unchanged" };
  }

  #sameMeaning(a: Resource, b: Resource): boolean {
    return a === b || this.#context.fingerprints.textOf(a) === this.#context.fingerprints.textOf(b);
  }

  finish(rejected: readonly RejectedObject[]): FinishedDraft {
    const base = this.#base;
    const moved: AcceptedObject[] = [];
    const changed: AcceptedObject[] = [];
    for (const [key, accepted] of this.#objects) {
      const before = base.objects.get(key);
      if (before?.object !== accepted.object) changed.push(accepted);
      else if (before.ownerFile !== accepted.ownerFile || before.origin.file !== accepted.origin.file)
        moved.push(accepted);
    }
    const removed = [...base.objects.keys()].filter((key) => !this.#objects.has(key));
    const revision = changed.length + removed.length > 0 ? base.revision + 1 : base.revision;
    const state = { revision, objects: this.#objects, rejected, overrides: this.overrides };
    const upserted = [...changed, ...moved];
    const worthStoring =
      upserted.length + removed.length > 0 ||
      !sameJson(rejected, base.rejected) ||
      !sameJson(this.overrides, base.overrides);
    return {
      state,
      change: worthStoring ? { revision, upserted, removed, rejected, overrides: this.overrides } : undefined,
    };
  }
}

function addressOf(object: Resource): string | undefined {
  if (object.kind !== "Service") return undefined;
  const address = object.spec.clusterIP;
  return address === undefined || address === "" || address === "None" ? undefined : address;
}

function sameOrigin(a: Origin, b: Origin): boolean {
  return a.file === b.file && a.line === b.line && a.column === b.column;
}

function sameJson(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
