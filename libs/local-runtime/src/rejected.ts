import { diagnosticText } from "@lateen/mesh-model";
import type { RejectedView } from "./events.ts";

/** Reads the answer of GET /config/rejected, whatever wraps the list. Entries that cannot be read are left out. */
export function parseRejected(answer: unknown): readonly RejectedView[] {
  const list = Array.isArray(answer) ? answer : record(answer).rejected;
  if (!Array.isArray(list)) return [];
  return list.map((entry) => {
    const { kind, namespace, name, file, line, message, errors, diagnostics } = record(entry);
    const first = firstDiagnostic(diagnostics);
    return {
      kind: text(kind),
      namespace: text(namespace),
      name: text(name),
      file: text(file),
      line: typeof line === "number" ? line : first.line,
      message: text(message) || messages(errors) || first.message,
    };
  });
}

function firstDiagnostic(value: unknown): { readonly line: number; readonly message: string } {
  const list = (Array.isArray(value) ? value : []).map(record);
  const errors = list.filter((diagnostic) => diagnostic.level !== "warning");
  const line = record(errors[0]?.origin).line;
  return {
    line: typeof line === "number" ? line : 1,
    message: errors.map(sentence).join("; "),
  };
}

function sentence({ path, message, hint }: Readonly<Record<string, unknown>>): string {
  const help = text(hint);
  return diagnosticText({ path: text(path), message: text(message), ...(help === "" ? {} : { hint: help }) });
}

function messages(value: unknown): string {
  return Array.isArray(value)
    ? value.map((entry) => (typeof entry === "string" ? entry : text(record(entry).message))).join("; ")
    : "";
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
