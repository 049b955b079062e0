import { codes } from "../errors.ts";
import type { Diagnostic, Origin } from "../origin.ts";
import { type DocumentValue, decodeDocument, describeRefused, refusedDocument } from "./decode-document.ts";
import { isRecord } from "./decode-value.ts";
import { limits } from "./limits.ts";
import { type DocumentText, splitDocuments } from "./split.ts";
import type { DecodedDocument, DecodeOptions, Path, TextInput } from "./types.ts";
import { parseYaml } from "./yaml.ts";

/**
 * Decodes YAML (several documents) or JSON; lists (`kind: List`) are flattened. One entry for each object, in order. A document
 * that cannot be read is reported with file, line and column, and never harms the others. Never throws.
 */
export function decodeText(input: TextInput, options: DecodeOptions = {}): readonly DecodedDocument[] {
  const { file } = input;
  const start: Origin = { file, line: 1, column: 1 };
  if (input.text.length > limits.textLength) {
    return [refuse(start, codes.bounds, `the text is longer than ${limits.textLength / 1024 / 1024} MiB`)];
  }
  const text = input.text.startsWith("\uFEFF") ? input.text.slice(1) : input.text;
  const results: DecodedDocument[] = [];
  for (const source of splitDocuments(text)) {
    if (results.length >= limits.documents) {
      const origin = { file, line: source.line + 1, column: 1 };
      results.push(refuse(origin, codes.bounds, `more than ${limits.documents} documents in one text`));
      break;
    }
    decodeSource(file, source, options, results);
  }
  return results;
}

/** Decodes JSON that is parsed already; every diagnostic points at `origin`. Never throws. */
export function decodeObject(value: unknown, origin: Origin, options: DecodeOptions = {}): DecodedDocument {
  const problem = shapeProblem(value, 0, { values: 0 });
  if (problem !== undefined) return refuse(origin, problem.code, problem.message);
  return decodeDocument({ value, locate: () => origin }, options);
}

function decodeSource(file: string, source: DocumentText, options: DecodeOptions, results: DecodedDocument[]): void {
  const nul = source.text.indexOf("\0");
  if (nul >= 0) {
    const before = source.text.slice(0, nul).split("\n");
    const column = (before.at(-1)?.length ?? 0) + 1;
    const origin = { file, line: source.line + before.length, column };
    results.push(refuse(origin, codes.syntax, "a NUL character is not allowed in YAML", "is this a text file?"));
    return;
  }
  const parsed = parseYaml(file, source);
  if (!parsed.ok) {
    const diagnostics = parsed.problems
      .slice(0, limits.findings)
      .map((problem): Diagnostic => ({ level: "error", path: "", ...problem }));
    const first = diagnostics[0]?.origin ?? { file, line: source.line + 1, column: 1 };
    results.push(parsed.partial ? describeRefused(parsed.partial, diagnostics) : refusedDocument(first, diagnostics));
    return;
  }
  // `---` followed by comments only, or an explicit null, is no object.
  if (parsed.document.value === null) return;
  flatten(parsed.document, [], options, results);
}

function flatten(document: DocumentValue, path: Path, options: DecodeOptions, results: DecodedDocument[]): void {
  const { value } = document;
  if (!isRecord(value) || !isList(value)) {
    results.push(decodeDocument(document, options));
    return;
  }
  const items = Array.isArray(value.items) ? value.items : [];
  for (const [index, item] of items.entries()) {
    if (results.length >= limits.documents) {
      const origin = document.locate(["items", index], "value");
      results.push(refuse(origin, codes.bounds, `more than ${limits.documents} documents in one text`));
      return;
    }
    const inner: DocumentValue = {
      value: item,
      locate: (field, part) => document.locate(["items", index, ...field], part),
    };
    flatten(inner, [...path, "items", index], options, results);
  }
}

/** `List`, or a typed list such as `VirtualServiceList` as API servers return. */
function isList(value: Readonly<Record<string, unknown>>): boolean {
  const { kind } = value as { kind?: unknown };
  return typeof kind === "string" && kind.endsWith("List") && (Array.isArray(value.items) || value.items === null);
}

function refuse(origin: Origin, code: string, message: string, hint?: string): DecodedDocument {
  return refusedDocument(origin, [
    { level: "error", code, message, path: "", origin, ...(hint === undefined ? {} : { hint }) },
  ]);
}

interface ShapeProblem {
  readonly code: string;
  readonly message: string;
}

function shapeProblem(value: unknown, depth: number, count: { values: number }): ShapeProblem | undefined {
  if (depth > limits.depth) return { code: codes.bounds, message: `nested deeper than ${limits.depth} levels` };
  if (++count.values > limits.values) {
    return { code: codes.bounds, message: `more than ${limits.values} values in one document` };
  }
  if (typeof value !== "object" || value === null) return undefined;
  // As an own name it comes out of JSON.parse, and becomes a prototype as soon as somebody copies the object.
  if (Object.hasOwn(value, "__proto__")) return { code: codes.badValue, message: `"__proto__" cannot be a name` };
  for (const inner of Object.values(value)) {
    const problem = shapeProblem(inner, depth + 1, count);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
