import { type DecodedDocument, decodeObject, decodeText, keyOf, type ResourceKey } from "@lateen/mesh-model";
import type { RawDocument } from "@lateen/ports";

/** A watched file as it was last seen. */
export interface FileView {
  readonly file: string;
  readonly documents: readonly DecodedDocument[];
  /** Why the file could not be read; its documents are then unknown. */
  readonly unreadable: string | undefined;
  /** Whether some document could not be read far enough to tell which object it is. It might be any. */
  readonly hidesObjects: boolean;
}

/** @returns undefined when the file is gone. */
export function viewOf(document: RawDocument): FileView | undefined {
  const { file, text, unreadable, value } = document;
  if (unreadable !== undefined) return { file, documents: [], unreadable, hidesObjects: true };
  if (text === undefined) return undefined;
  const documents =
    value === undefined ? decodeText({ file, text }) : [decodeObject(value, { file, line: 1, column: 1 })];
  const hidesObjects = documents.some((decoded) => !decoded.ok && !decoded.ignored && decoded.key === undefined);
  return { file, documents, unreadable: undefined, hidesObjects };
}

/** The object that a document speaks of; undefined when that is unknown, or none. */
export function claimOf(decoded: DecodedDocument): ResourceKey | undefined {
  return decoded.ok ? keyOf(decoded.object) : decoded.key;
}
