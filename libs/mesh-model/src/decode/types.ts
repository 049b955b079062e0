import type { ResourceKey } from "../key.ts";
import type { Resource } from "../kinds/index.ts";
import type { Diagnostic, Origin } from "../origin.ts";

/** One document of the input: an object of the mesh, or why it is none. Tell them apart by `ok`, then by `ignored`. */
export type DecodedDocument = DecodedObject | UndecodedDocument;

export interface DecodedObject {
  readonly ok: true;
  readonly object: Resource;
  /** Where the document's first field stands. */
  readonly origin: Origin;
  readonly warnings: readonly Diagnostic[];
  /** Where each field stands, for findings that come later; with {@link DecodeOptions.positions} only. */
  readonly locate?: Locate;
}

/**
 * A document that gives no object. With `ignored: true` it is of a kind that is not part of a mesh (a ClusterRole, a
 * PersistentVolumeClaim, another controller's resource): its diagnostics are warnings only and it must not block anything.
 * With `ignored: false` at least one diagnostic is an error.
 */
export interface UndecodedDocument {
  readonly ok: false;
  readonly ignored: boolean;
  /** Present when kind and name could be read and the kind is known. */
  readonly key: ResourceKey | undefined;
  /** As written; empty when it could not be read. The same holds for namespace and name. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly origin: Origin;
  readonly diagnostics: readonly Diagnostic[];
}

export interface DecodeOptions {
  /** Namespace of namespaced objects that name none; default `default`. */
  readonly defaultNamespace?: string;
  /** Give each decoded object {@link DecodedObject.locate}; the parsed text stays in memory for as long as that does. */
  readonly positions?: boolean;
}

export interface TextInput {
  /** As the user gave it, for messages; or `<stdin>`. */
  readonly file: string;
  readonly text: string;
}

/** A field's path: names and list indexes. */
export type Path = readonly (string | number)[];
/** Finds where a path was written: the value, or the key that names it. Falls back to the nearest ancestor that exists. */
export type Locate = (path: Path, part: "key" | "value") => Origin;
