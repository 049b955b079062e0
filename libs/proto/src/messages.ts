import { gunzipSync } from "node:zlib";
import { createFileRegistry, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { DESCRIPTORS } from "./gen/descriptors.ts";

/**
 * Descriptions of all of Envoy's messages, and of Istio's that travel in them, for those who read messages that no program knows
 * beforehand. Takes some 100 ms: to be kept.
 */
export function describeMessages(): FileRegistry {
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, gunzipSync(Buffer.from(DESCRIPTORS, "base64"))));
}
