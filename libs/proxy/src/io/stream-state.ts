/** Where node writes down what the last call on any stream handle of this thread came to. One array per thread. */
export interface StreamState {
  readonly values: Int32Array;
  /** Place of the size of a read while its `onread` runs; negative at the end and for errors. */
  readonly readBytes: number;
  /** Place of 0 when a write was over as it returned and node kept nothing of it, else of 1. */
  readonly writeWasAsync: number;
}

interface StreamBinding {
  readonly streamBaseState?: unknown;
  readonly kReadBytesOrError?: unknown;
  readonly kLastWriteWasAsync?: unknown;
}

/**
 * The state of this thread, where node gives it out: reading it costs far less than asking a handle, and it alone tells whether a write
 * request may be used again. Not a public interface: whoever uses it has seen it tell the truth first ({@link probeHandles}).
 */
export function findStreamState(): StreamState | undefined {
  const { binding } = process as { readonly binding?: (name: string) => StreamBinding };
  if (typeof binding !== "function") return undefined;
  try {
    const { streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = binding.call(process, "stream_wrap");
    if (!(streamBaseState instanceof Int32Array)) return undefined;
    const places = [kReadBytesOrError, kLastWriteWasAsync].filter((place) => Number.isInteger(place)) as number[];
    const [readBytes = -1, writeWasAsync = -1] = places;
    const within = [readBytes, writeWasAsync].every((place) => place >= 0 && place < streamBaseState.length);
    return within && readBytes !== writeWasAsync ? { values: streamBaseState, readBytes, writeWasAsync } : undefined;
  } catch {
    // Under the permission model bindings are out of reach.
    return undefined;
  }
}
