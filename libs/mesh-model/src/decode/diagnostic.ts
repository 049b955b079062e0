import type { Diagnostic } from "../origin.ts";
import type { Finding } from "../validation/check.ts";
import { formatPath } from "./path.ts";
import type { Locate } from "./types.ts";

/** Puts a finding in its place. */
export function toDiagnostic(finding: Finding, locate: Locate): Diagnostic {
  const { path, part, ...rest } = finding;
  return { ...rest, path: formatPath(path), origin: locate(path, part) };
}
