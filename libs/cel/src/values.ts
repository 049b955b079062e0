/** A moment. */
export class CelTimestamp {
  /** Epoch milliseconds. */
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
}

/** A span of time. */
export class CelDuration {
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
}

/** Texts by name; undefined: there is none of that name. */
export interface CelMap {
  get(key: string): string | undefined;
}

/** Integers are bigint, doubles are number. */
export type CelValue =
  | string
  | bigint
  | number
  | boolean
  | null
  | CelTimestamp
  | CelDuration
  | CelMap
  | readonly CelValue[];

/** `any`: known only when it is evaluated. */
export type CelType = "string" | "int" | "double" | "bool" | "null" | "timestamp" | "duration" | "map" | "list" | "any";

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, ns: 1e-6 };

/** Text such as `1h30m` or `-1.5s` in milliseconds; undefined: it is none. */
export function durationOf(text: string): CelDuration | undefined {
  const whole = /^(-?)((?:[0-9]+(?:\.[0-9]+)?(?:h|ms|us|ns|m|s))+)$/.exec(text);
  if (whole === null) return undefined;
  let ms = 0;
  for (const [, amount, unit] of (whole[2] ?? "").matchAll(/([0-9.]+)(h|ms|us|ns|m|s)/g)) {
    ms += Number(amount) * (UNITS[unit ?? ""] ?? 0);
  }
  return new CelDuration(whole[1] === "-" ? -ms : ms);
}

/** Text in the form of RFC 3339; undefined: it is none. */
export function timestampOf(text: string): CelTimestamp | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : new CelTimestamp(ms);
}

/** A value as text, as the function `string` makes it; undefined: it has none. */
export function textOf(value: CelValue | undefined): string | undefined {
  switch (typeof value) {
    case "string":
      return value;
    case "bigint":
    case "number":
    case "boolean":
      return String(value);
    default:
      if (value instanceof CelDuration) return `${value.ms / 1000}s`;
      if (value instanceof CelTimestamp) return new Date(value.ms).toISOString().replace(/\.000Z$/, "Z");
      return undefined;
  }
}
