export const BUFFER = "envoy.filters.http.buffer";

/** @see envoy.extensions.filters.http.buffer.v3.Buffer */
export interface BufferConfig {
  /** A longer request is refused; undefined (routes only): requests pass as they come. */
  readonly maxRequestBytes: number | undefined;
}
