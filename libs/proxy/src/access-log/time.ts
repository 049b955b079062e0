/** Makes texts of epoch milliseconds; remembers the second it last wrote, since consecutive lines share it. */
export type TimeText = (epochMs: number) => string;

/** `2026-11-21T07:55:00.123Z`, Envoy's default. */
export function isoTime(): TimeText {
  let second = Number.NaN;
  let prefix = "";
  let last = Number.NaN;
  let text = "";
  return (epochMs) => {
    // Many requests share a millisecond.
    if (epochMs === last) return text;
    last = epochMs;
    const now = Math.floor(epochMs / 1000);
    if (now !== second) {
      second = now;
      prefix = new Date(now * 1000).toISOString().slice(0, 20);
    }
    text = `${prefix}${pad(Math.floor(epochMs) - now * 1000, 3)}Z`;
    return text;
  };
}

/**
 * A strftime-like format as `%START_TIME(...)%` takes it: `%Y %m %d %H %M %S %s %F %T %Z %z %b %a %e %j`, `%3f %6f %9f` and
 * `%E3S`. Always UTC.
 * @returns undefined for a specifier that is not known.
 */
export function timeFormat(format: string): TimeText | undefined {
  if (format === "") return isoTime();
  const parts: (string | ((date: Date) => string))[] = [];
  const pattern = /%(E[0-9]S|[0-9]f|.)|([^%]+)/g;
  for (const [, specifier, text] of format.matchAll(pattern)) {
    if (text !== undefined) parts.push(text);
    else {
      const part = specifierText(specifier ?? "");
      if (part === undefined) return undefined;
      parts.push(part);
    }
  }
  return (epochMs) => {
    const date = new Date(epochMs);
    return parts.map((part) => (typeof part === "string" ? part : part(date))).join("");
  };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const DAY_MS = 86_400_000;

const SPECIFIERS: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getUTCFullYear()),
  m: (date) => pad(date.getUTCMonth() + 1, 2),
  d: (date) => pad(date.getUTCDate(), 2),
  e: (date) => String(date.getUTCDate()).padStart(2, " "),
  H: (date) => pad(date.getUTCHours(), 2),
  M: (date) => pad(date.getUTCMinutes(), 2),
  S: (date) => pad(date.getUTCSeconds(), 2),
  F: (date) => date.toISOString().slice(0, 10),
  T: (date) => date.toISOString().slice(11, 19),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  b: (date) => MONTHS[date.getUTCMonth()] ?? "",
  a: (date) => DAYS[date.getUTCDay()] ?? "",
  j: (date) => pad(Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS) + 1, 3),
  Z: () => "UTC",
  z: () => "+0000",
  "%": () => "%",
};

function specifierText(specifier: string): ((date: Date) => string) | undefined {
  const digits = /^(?:E([0-9])S|([0-9])f)$/.exec(specifier);
  if (digits === null) return SPECIFIERS[specifier];
  const count = Number(digits[1] ?? digits[2]);
  const withSeconds = digits[1] !== undefined;
  return (date) => {
    const fraction = `${pad(date.getUTCMilliseconds(), 3)}000000`.slice(0, count);
    if (!withSeconds) return fraction;
    return count === 0 ? pad(date.getUTCSeconds(), 2) : `${pad(date.getUTCSeconds(), 2)}.${fraction}`;
  };
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, "0");
}
