/**
 * The generated writers give a duration as `{seconds, nanos}`; proto JSON wants `"1.5s"`. Only objects that hold nothing else and
 * whose seconds are digits are changed.
 */
export function withProtoDurations(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withProtoDurations);
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  const entries = Object.entries(value);
  const isDuration =
    entries.length > 0 &&
    entries.every(([key, inner]) =>
      key === "seconds" ? /^-?\d+$/.test(String(inner)) : key === "nanos" && typeof inner === "number",
    );
  if (!isDuration) return Object.fromEntries(entries.map(([key, inner]) => [key, withProtoDurations(inner)]));
  const { seconds = "0", nanos = 0 } = value as { seconds?: string; nanos?: number };
  const fraction = nanos === 0 ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
  return `${seconds}${fraction}s`;
}
