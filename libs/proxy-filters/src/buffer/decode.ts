import { typeUrl } from "@lateen/proto";
import { BufferPerRoute, Buffer as BufferProto } from "@lateen/proto/envoy/extensions/filters/http/buffer/v3/buffer";
import { join, refuse } from "@lateen/proxy";
import type { BufferConfig } from "./config.ts";

export const BUFFER_TYPE = typeUrl(BufferProto);
export const BUFFER_ROUTE_TYPE = typeUrl(BufferPerRoute);

/** @see envoy.extensions.filters.http.buffer.v3.Buffer */
export function decodeBuffer(bytes: Uint8Array): BufferConfig {
  return bufferOf(BufferProto.decode(bytes), "");
}

/** @see envoy.extensions.filters.http.buffer.v3.BufferPerRoute */
export function decodeBufferPerRoute(bytes: Uint8Array): BufferConfig {
  const { override } = BufferPerRoute.decode(bytes);
  switch (override?.$case) {
    case "disabled":
      return override.value ? { maxRequestBytes: undefined } : refuse("disabled", "must be true");
    case "buffer":
      return bufferOf(override.value, "buffer");
    case undefined:
      return refuse("override", "required");
  }
}

function bufferOf({ maxRequestBytes }: BufferProto, at: string): BufferConfig {
  if (maxRequestBytes === undefined || maxRequestBytes < 1) {
    return refuse(join(at, "max_request_bytes"), "must be greater than 0");
  }
  return { maxRequestBytes };
}
