import type { ProtoDuration } from "./duration.ts";

const NANOS_PER_SECOND = 1_000_000_000;

/** Proto JSON of a google.protobuf.Duration: seconds with up to nine decimals and `s`, such as `"1.5s"` and `"0s"`. */
export function durationToJson({ seconds, nanos }: ProtoDuration): string {
  const sign = seconds < 0n || nanos < 0 ? "-" : "";
  const whole = seconds < 0n ? -seconds : seconds;
  const fraction = nanos === 0 ? "" : `.${String(Math.abs(nanos)).padStart(9, "0").replace(/0+$/, "")}`;
  return `${sign}${whole}${fraction}s`;
}

/**
 * Reads `"1.5s"`, or an object with `seconds` and `nanos` as the binary message has them.
 * @throws Error for anything else.
 */
export function durationFromJson(json: unknown): ProtoDuration {
  if (typeof json === "object" && json !== null) {
    const { seconds = 0, nanos = 0 } = json as { seconds?: string | number | bigint; nanos?: number };
    return { seconds: BigInt(seconds), nanos: Number(nanos) };
  }
  const match = typeof json === "string" ? /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(json) : null;
  if (match === null) throw new Error(`${JSON.stringify(json)} is not a duration such as "1.5s"`);
  const [, sign, whole = "0", fraction = ""] = match;
  const nanos = Number(fraction.padEnd(9, "0")) % NANOS_PER_SECOND;
  return sign === "-"
    ? { seconds: -BigInt(whole), nanos: nanos === 0 ? 0 : -nanos }
    : { seconds: BigInt(whole), nanos };
}
