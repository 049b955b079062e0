import type { Scope } from "@lateen/kernel";
import type { Diagnostic, Origin, Resource, ResourceKey } from "@lateen/mesh-model";

/** A text to be decided on: a file's whole content, or the body of an apply. */
export interface RawDocument {
  /** Path as the user gave it; decides ownership (an object belongs to the file it came from). */
  readonly file: string;
  /** undefined: the file is gone, unless `unreadable` says otherwise. */
  readonly text: string | undefined;
  /** Set when the file is there but could not be read, and why. What it held before stays in force. */
  readonly unreadable?: string;
  /** The one object that the text stands for, where the source has it parsed already. */
  readonly value?: unknown;
}

/** Where configuration comes from. The first call carries every document there is; later calls only what changed. */
export interface ConfigSource {
  watch(scope: Scope, receive: (documents: readonly RawDocument[]) => void): Promise<void>;
}

/** An object that galley accepted, with where it came from. What is published on the bus under topic `config`. */
export interface AcceptedObject {
  readonly object: Resource;
  readonly origin: Origin;
  /** The watched file that owns it, or undefined when it was applied by command. */
  readonly ownerFile: string | undefined;
  readonly revision: number;
}

/** An object, or a whole document, that galley did not accept. Its last good version, if any, keeps serving. */
export interface RejectedObject {
  /** undefined when the document could not be read far enough to tell which object it is. */
  readonly key: ResourceKey | undefined;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly file: string;
  readonly diagnostics: readonly Diagnostic[];
  /** Whether an earlier version is still in force. */
  readonly lastGoodServes: boolean;
}

/**
 * A document of a watched file that a command overrode: it stays without effect until its text says something else than what
 * `fingerprint` was made of.
 */
export interface FileOverride {
  readonly key: ResourceKey;
  readonly file: string;
  readonly fingerprint: string;
}

/** What a store keeps: the accepted objects, and the rejections so that they are still known after a restart. */
export interface StoredState {
  readonly revision: number;
  readonly objects: ReadonlyMap<ResourceKey, AcceptedObject>;
  readonly rejected: readonly RejectedObject[];
  readonly overrides?: readonly FileOverride[];
}

export interface StoreChange {
  readonly revision: number;
  readonly upserted: readonly AcceptedObject[];
  readonly removed: readonly ResourceKey[];
  /** The complete list of rejections after this change. */
  readonly rejected: readonly RejectedObject[];
  /** The complete list after this change; left out means unchanged. */
  readonly overrides?: readonly FileOverride[];
}

/** Durable home of accepted configuration. `commit` resolves only once a kill -9 cannot lose the change any more. */
export interface ConfigStore {
  load(): Promise<StoredState>;
  commit(change: StoreChange): Promise<void>;
  close(): Promise<void>;
}

/** Name of the bus topic on which galley publishes {@link AcceptedObject} by {@link ResourceKey}. */
export const CONFIG_TOPIC = "config";

/**
 * Puts objects in force that the mesh makes itself, as a command of its owner would: checked, durable, published on
 * {@link CONFIG_TOPIC}. Implemented with galley where that runs, with the API server in a cluster.
 */
export interface ConfigWriter {
  /**
   * Resolves once the change is durable. Objects that are gone already may be removed again.
   * @throws when the change could not be stored, or an object is refused; nothing can be said about the others then.
   */
  write(change: { readonly upserted: readonly Resource[]; readonly removed: readonly ResourceKey[] }): Promise<void>;
}
