export const COMPRESSOR = "envoy.filters.http.compressor";

/** @see envoy.extensions.filters.http.compressor.v3.Compressor */
export interface CompressorConfig {
  readonly library: GzipSpec | BrotliSpec;
  /** Responses are compressed. */
  readonly enabled: boolean;
  /** Shorter bodies are left alone. */
  readonly minBytes: number;
  /** Lower case, without parameters. */
  readonly contentTypes: readonly string[];
  readonly disableOnEtag: boolean;
  /** The upstream is not told that clients could take something compressed. */
  readonly removeAcceptEncoding: boolean;
  /** Preferred to other compressors that the client likes as much. */
  readonly chooseFirst: boolean;
}

/** Arguments of zlib. */
export interface GzipSpec {
  readonly kind: "gzip";
  readonly memLevel: number;
  readonly level: number;
  readonly strategy: number;
  readonly windowBits: number;
}
/** Arguments of Brotli. */
export interface BrotliSpec {
  readonly kind: "br";
  readonly quality: number;
  readonly mode: number;
  readonly windowBits: number;
  readonly blockBits: number;
  readonly noContextModeling: boolean;
}

/** @see envoy.extensions.filters.http.compressor.v3.CompressorPerRoute */
export interface CompressorRouteConfig {
  readonly disabled: boolean;
  readonly removeAcceptEncoding: boolean | undefined;
}
