import type { HeaderPair } from "./verdict.ts";

/** A path whose query has other parameters: removed ones go, set ones replace their first and only occurrence or come last. */
export function editedPath(path: string, set: readonly HeaderPair[], remove: readonly string[]): string {
  const at = path.indexOf("?");
  const base = at < 0 ? path : path.slice(0, at);
  const gone = new Set(remove);
  const values = new Map(set);
  const parts: string[] = [];
  for (const part of at < 0 ? [] : path.slice(at + 1).split("&")) {
    const name = part.split("=", 1).join("");
    if (part === "" || gone.has(name)) continue;
    const value = values.get(name);
    if (value === undefined) {
      if (!set.some(([key]) => key === name)) parts.push(part);
      continue;
    }
    parts.push(`${name}=${value}`);
    values.delete(name);
  }
  for (const [name, value] of values) if (!gone.has(name)) parts.push(`${name}=${value}`);
  return parts.length === 0 ? base : `${base}?${parts.join("&")}`;
}
