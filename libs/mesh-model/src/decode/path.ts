import type { Path } from "./types.ts";

const PLAIN = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** JSON path for people: `spec.http[0].headers["x-user"]`. */
export function formatPath(path: Path): string {
  let text = "";
  for (const segment of path) {
    if (typeof segment === "number") text += `[${segment}]`;
    else if (PLAIN.test(segment)) text += text === "" ? segment : `.${segment}`;
    else text += `[${JSON.stringify(segment)}]`;
  }
  return text;
}
