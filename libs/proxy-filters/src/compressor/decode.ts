import { typeUrl } from "@lateen/proto";
import type { TypedExtensionConfig } from "@lateen/proto/envoy/config/core/v3/extension";
import { Brotli } from "@lateen/proto/envoy/extensions/compression/brotli/compressor/v3/brotli";
import { Gzip } from "@lateen/proto/envoy/extensions/compression/gzip/compressor/v3/gzip";
import { Compressor, CompressorPerRoute } from "@lateen/proto/envoy/extensions/filters/http/compressor/v3/compressor";
import { onlyFields, refuse } from "@lateen/proxy";
import type { BrotliSpec, CompressorConfig, CompressorRouteConfig, GzipSpec } from "./config.ts";

export const COMPRESSOR_TYPE = typeUrl(Compressor);
export const COMPRESSOR_ROUTE_TYPE = typeUrl(CompressorPerRoute);

/** Envoy's. */
const CONTENT_TYPES: readonly string[] = [
  "application/javascript",
  "application/json",
  "application/xhtml+xml",
  "image/svg+xml",
  "text/css",
  "text/html",
  "text/plain",
  "text/xml",
];
const MIN_BYTES = 30;

/** Reads the filter's configuration. Compression of requests is refused. */
export function decodeCompressor(bytes: Uint8Array): CompressorConfig {
  const message = Compressor.decode(bytes);
  if (message.requestDirectionConfig !== undefined) refuse("request_direction_config", "not supported by this proxy");
  const direction = message.responseDirectionConfig;
  const common = direction?.commonConfig;
  const types = (direction === undefined ? message.contentType : common?.contentType) ?? [];
  const enabled = (direction === undefined ? message.runtimeEnabled : common?.enabled)?.defaultValue ?? true;
  return {
    library: library(message.compressorLibrary, "compressor_library"),
    enabled,
    minBytes: (direction === undefined ? message.contentLength : common?.minContentLength) ?? MIN_BYTES,
    contentTypes: types.length === 0 ? CONTENT_TYPES : types.map((type) => type.toLowerCase()),
    disableOnEtag: direction?.disableOnEtagHeader ?? message.disableOnEtagHeader,
    removeAcceptEncoding: direction?.removeAcceptEncodingHeader ?? message.removeAcceptEncodingHeader,
    chooseFirst: message.chooseFirst,
  };
}

function library(config: TypedExtensionConfig | undefined, at: string): CompressorConfig["library"] {
  const any = config?.typedConfig;
  switch (any?.typeUrl) {
    case typeUrl(Gzip):
      return gzip(Gzip.decode(any.value), `${at}.typed_config`);
    case typeUrl(Brotli):
      return brotli(Brotli.decode(any.value), `${at}.typed_config`);
    case undefined:
      return refuse(at, "required");
    default:
      return refuse(at, `${any?.typeUrl} is not supported by this proxy`);
  }
}

function within(
  value: number | undefined,
  fallback: number,
  [least, most]: readonly [number, number],
  at: string,
): number {
  const given = value ?? fallback;
  return given < least || given > most ? refuse(at, `must be between ${least} and ${most}`) : given;
}

/** Names of zlib's strategies in Envoy's order: default, filtered, Huffman only, run lengths, fixed. */
const STRATEGIES = 4;

function gzip(message: Gzip, at: string): GzipSpec {
  const level = message.compressionLevel;
  const [fastest, best, fallback] = [1, 9, -1];
  if (message.compressionStrategy < 0 || message.compressionStrategy > STRATEGIES) {
    refuse(`${at}.compression_strategy`, `${message.compressionStrategy} is unknown`);
  }
  return {
    kind: "gzip",
    memLevel: within(message.memoryLevel, 5, [1, 9], `${at}.memory_level`),
    level: level === 0 ? fallback : within(level, level, [fastest, best], `${at}.compression_level`),
    strategy: message.compressionStrategy,
    windowBits: within(message.windowBits, 12, [9, 15], `${at}.window_bits`),
  };
}

/** Generic, text, font in the order of Brotli itself; Envoy's list begins with the default. */
function brotli(message: Brotli, at: string): BrotliSpec {
  return {
    kind: "br",
    quality: within(message.quality, 3, [0, 11], `${at}.quality`),
    mode: within(Math.max(0, message.encoderMode - 1), 0, [0, 2], `${at}.encoder_mode`),
    windowBits: within(message.windowBits, 18, [10, 24], `${at}.window_bits`),
    blockBits: within(message.inputBlockBits, 24, [16, 24], `${at}.input_block_bits`),
    noContextModeling: message.disableLiteralContextModeling,
  };
}

/** @see envoy.extensions.filters.http.compressor.v3.CompressorPerRoute */
export function decodeCompressorPerRoute(bytes: Uint8Array): CompressorRouteConfig {
  const { override } = CompressorPerRoute.decode(bytes);
  switch (override?.$case) {
    case "disabled":
      if (!override.value) refuse("disabled", "must be true");
      return { disabled: true, removeAcceptEncoding: undefined };
    case "overrides": {
      onlyFields(override.value, "overrides", ["responseDirectionConfig"]);
      return {
        disabled: false,
        removeAcceptEncoding: override.value.responseDirectionConfig?.removeAcceptEncodingHeader,
      };
    }
    case undefined:
      return refuse("override", "required");
  }
}
