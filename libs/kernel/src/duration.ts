import { err, ok, type Result } from "./result.ts";

/** Nanoseconds, so that every unit is a whole number and no rounding error creeps in. */
const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};
const NS_PER_MS = 1e6;
const PART = /(\d*)(\.\d+)?(ns|us|µs|ms|s|m|h)/gy;

/**
 * Parses a duration as Istio's YAML writes it: proto JSON (`"1.5s"`) or Go's form (`"1h30m"`, `"250ms"`). A bare `0` is allowed.
 * @returns milliseconds, fractions kept.
 */
export function parseDuration(text: string): Result<number, string> {
  if (text === "0") return ok(0);
  const negative = text.startsWith("-");
  const body = negative || text.startsWith("+") ? text.slice(1) : text;
  let total = 0;
  PART.lastIndex = 0;
  let at = 0;
  while (at < body.length) {
    const [, whole = "", fraction = "", unit = ""] = PART.exec(body) ?? [];
    const ns = UNIT_NS[unit];
    if (ns === undefined || (whole === "" && fraction === "")) {
      return err(`"${text}" is not a duration such as "1.5s", "250ms" or "1h30m"`);
    }
    // Apart, because a fraction beside a large whole number would lose its last digits.
    total += wholeMs(Number(whole), ns) + Math.round(Number(fraction) * ns) / NS_PER_MS;
    at = PART.lastIndex;
  }
  if (body.length === 0) return err("a duration must not be empty");
  return ok(negative ? -total : total);
}

function wholeMs(count: number, ns: number): number {
  return ns >= NS_PER_MS ? count * (ns / NS_PER_MS) : (count * ns) / NS_PER_MS;
}

/** Milliseconds as proto JSON writes a duration: `1.5s`. What is below a nanosecond is rounded. */
export function formatDuration(ms: number): string {
  const size = Math.abs(ms);
  const whole = Math.floor(size / 1000);
  const nanos = Math.round((size - whole * 1000) * NS_PER_MS);
  const seconds = nanos === 1e9 ? whole + 1 : whole;
  const fraction = nanos === 0 || nanos === 1e9 ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
  return `${ms < 0 ? "-" : ""}${seconds}${fraction}s`;
}
