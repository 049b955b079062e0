/** Where an object or field was written. Lines and columns start at 1. */
export interface Origin {
  /** File path as the user gave it, or `<stdin>` / `<apply>`. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type DiagnosticLevel = "error" | "warning";

/** One thing wrong with one object. `path` is the JSON path of the field, such as `spec.http[0].route`. */
export interface Diagnostic {
  readonly level: DiagnosticLevel;
  readonly code: string;
  readonly message: string;
  readonly path: string;
  readonly origin: Origin;
  readonly hint?: string;
}

/** `file:line:column` */
export function formatOrigin(origin: Origin): string {
  return `${origin.file}:${origin.line}:${origin.column}`;
}

/** `path: message; hint`, without a place. The path is left out where the message names it already. */
export function diagnosticText({ path, message, hint }: Pick<Diagnostic, "path" | "message" | "hint">): string {
  const field = path === "" || message.includes(path) ? "" : `${path}: `;
  return `${field}${message}${hint === undefined ? "" : `; ${hint}`}`;
}
