const DIM = "\x1b[2m";
const RESET = "\x1b[0m";
const COLOURS: Readonly<Record<string, string>> = {
  debug: "\x1b[90m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};
const HIDDEN = new Set(["level", "time", "name", "event"]);

/** One JSON log line as a person reads it: `12:00:01.250 info  galley config.accepted objects=3`. Other text passes unchanged. */
export function formatPretty(line: string): string {
  const fields = parse(line);
  if (fields === undefined) return line;
  const level = String(fields.level ?? "info");
  const time = String(fields.time ?? "").slice(11, 23);
  const rest = Object.entries(fields)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, value]) => `${DIM}${name}=${RESET}${show(value)}`)
    .join(" ");
  const colour = COLOURS[level] ?? "";
  return `${DIM}${time}${RESET} ${colour}${level.padEnd(5)}${RESET} ${String(fields.name ?? "")} ${String(fields.event ?? "")}${rest === "" ? "" : ` ${rest}`}\n`;
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function show(value: unknown): string {
  if (typeof value === "string") return /^[\w./:@*|-]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value) ?? "undefined";
}
