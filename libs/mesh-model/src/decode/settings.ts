import { err, ok, type Result } from "@lateen/kernel";
import { codes } from "../errors.ts";
import type { Diagnostic } from "../origin.ts";
import type { ObjectNode, Schema } from "../schema/index.ts";
import { Check } from "../validation/check.ts";
import { decodeObjectValue } from "./decode-value.ts";
import { toDiagnostic } from "./diagnostic.ts";
import { splitDocuments } from "./split.ts";
import type { Locate } from "./types.ts";
import { parseYaml, type YamlValue } from "./yaml.ts";

/**
 * Reads settings that are no object of the mesh, such as what an operator writes for one component, from one YAML or JSON document. An
 * unknown field is an error. An empty text is an empty map.
 * @param file for messages.
 */
export function settingsFromText<T>(schema: Schema<T>, text: string, file: string): Result<T, readonly Diagnostic[]> {
  const parsed = valueFromText(text, file);
  return parsed.ok ? settingsFrom(schema, parsed.value.value ?? {}, parsed.value.locate) : parsed;
}

/** The same of a value that has been parsed already; diagnostics name `file` and the field. */
export function settingsFromValue<T>(
  schema: Schema<T>,
  value: unknown,
  file: string,
): Result<T, readonly Diagnostic[]> {
  return settingsFrom(schema, value, () => ({ file, line: 1, column: 1 }));
}

/** The value of one YAML or JSON document, whatever it is; null for an empty text. */
export function valueFromText(text: string, file: string): Result<YamlValue, readonly Diagnostic[]> {
  const [first, second] = splitDocuments(text);
  const start = { file, line: 1, column: 1 };
  if (first === undefined) return ok({ value: null, locate: () => start });
  if (second !== undefined) {
    const origin = { file, line: second.line + 1, column: 1 };
    return err([{ level: "error", code: codes.syntax, message: "must be one document", path: "", origin }]);
  }
  const parsed = parseYaml(file, first);
  if (parsed.ok) return ok(parsed.document);
  return err(parsed.problems.map((problem): Diagnostic => ({ level: "error", path: "", ...problem })));
}

function settingsFrom<T>(schema: Schema<T>, value: unknown, locate: Locate): Result<T, readonly Diagnostic[]> {
  const check = new Check();
  const decoded = decodeObjectValue(schema as ObjectNode, value, check, "strict");
  const errors = check.findings.filter(({ level }) => level === "error");
  if (decoded !== undefined && errors.length === 0) return ok(decoded as T);
  return err(errors.map((finding) => toDiagnostic(finding, locate)));
}
