import { err, ok, type Result } from "./result.ts";

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const PART = /(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h)/gy;

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
    const match = PART.exec(body);
    if (match === null) return err(`"${text}" is not a duration such as "1.5s", "250ms" or "1h30m"`);
    total += Number(match[1]) * (UNIT_MS[match[2] ?? ""] ?? Number.NaN);
    at = PART.lastIndex;
  }
  if (body.length === 0) return err("a duration must not be empty");
  return ok(negative ? -total : total);
}

/** Milliseconds as proto JSON writes a duration: `1.5s`. */
export function formatDuration(ms: number): string {
  return `${Number((ms / 1000).toFixed(9))}s`;
}
