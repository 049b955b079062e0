import { createHash } from "node:crypto";
import { type DecodedDocument, encodeObject, type Resource } from "@lateen/mesh-model";

/** Canonical text of objects, made once per object. */
export class Fingerprints {
  readonly #texts = new WeakMap<Resource, string>();

  /** Equal for objects that mean the same, however they were written. */
  textOf(object: Resource): string {
    let text = this.#texts.get(object);
    if (text === undefined) {
      text = JSON.stringify(encodeObject(object));
      this.#texts.set(object, text);
    }
    return text;
  }
}

/** Short identity of what a document says, for comparing it with a later version. */
export function documentFingerprint(decoded: DecodedDocument): string {
  const text = decoded.ok
    ? JSON.stringify(encodeObject(decoded.object))
    : `invalid ${JSON.stringify(decoded.diagnostics.map((diagnostic) => [diagnostic.path, diagnostic.message]))}`;
  return createHash("sha256").update(text).digest("base64url");
}
