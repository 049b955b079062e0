/** Shape of google.protobuf.Duration in the generated code. */
export interface ProtoDuration {
  seconds: bigint;
  nanos: number;
}

/** Milliseconds (fractions down to a nanosecond) to google.protobuf.Duration. */
export function durationFromMs(ms: number): ProtoDuration {
  const seconds = Math.trunc(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

/** google.protobuf.Duration to milliseconds. */
export function durationToMs(duration: ProtoDuration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
