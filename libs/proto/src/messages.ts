import { gunzipSync } from "node:zlib";
import { createFileRegistry, type FileRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { DESCRIPTORS } from "./gen/descriptors.ts";

/**
 * Descriptions of all of Envoy's messages, and of Istio's that travel in them, for those who read messages that no program knows
 * beforehand. Takes some 100 ms: to be kept.
 */
export function describeMessages(): FileRegistry {
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, gunzipSync(Buffer.from(DESCRIPTORS, "base64"))));
}

/** Writes messages of any type as proto JSON. Descriptions are made when they are first needed. */
export class MessageWriter {
  #registry: FileRegistry | undefined;

  /** @throws for a type that Envoy does not have, and for bytes that are not of it. */
  toJson(typeUrl: string, bytes: Uint8Array): unknown {
    this.#registry ??= describeMessages();
    const type = this.#registry.getMessage(typeUrl.slice(typeUrl.lastIndexOf("/") + 1));
    if (type === undefined) throw new TypeError(`there is no message ${typeUrl}`);
    return toJson(type, fromBinary(type, bytes), { registry: this.#registry });
  }
}
