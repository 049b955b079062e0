import { err, ok, type Result } from "@lateen/kernel";
import { Composer, type CST, Lexer, LineCounter, Parser, type YAMLError, YAMLParseError } from "yaml";
import { codes } from "../errors.ts";
import type { Origin } from "../origin.ts";
import { limits } from "./limits.ts";
import type { DocumentText } from "./split.ts";
import { syntaxProblems } from "./syntax-problems.ts";
import type { Locate } from "./types.ts";
import { type YamlProblem, YamlReader } from "./yaml-reader.ts";

/** A parsed document as plain JSON, and where each part of it stands. */
export interface YamlValue {
  readonly value: unknown;
  readonly locate: Locate;
}
export type YamlResult =
  | { readonly ok: true; readonly document: YamlValue }
  | { readonly ok: false; readonly problems: readonly YamlProblem[]; readonly partial: YamlValue | undefined };

/** Parses one document. Never throws: whatever the text, the outcome is a value or problems with their places. */
export function parseYaml(file: string, source: DocumentText): YamlResult {
  const lines = new LineCounter();
  const at = (offset: number): Origin => {
    const position = lines.linePos(offset);
    return { file, line: source.line + Math.max(position.line, 1), column: Math.max(position.col, 1) };
  };
  const start: Origin = { file, line: source.line + 1, column: 1 };
  try {
    const tokens = tokenize(source.text, lines);
    if (!tokens.ok) {
      return { ok: false, problems: [{ ...tokens.error, origin: at(tokens.error.offset) }], partial: undefined };
    }
    // Duplicates are found below; the library's own check is quadratic.
    const composer = new Composer({ uniqueKeys: false, prettyErrors: false, logLevel: "silent", schema: "core" });
    boundErrors(composer);
    const [parsed, second] = composer.compose(tokens.value, true, source.text.length);
    if (parsed === undefined) return { ok: true, document: { value: null, locate: () => start } };
    const problems: YamlProblem[] = syntaxProblems(
      [...parsed.errors, ...parsed.warnings.filter((warning) => warning.code === "TAG_RESOLVE_FAILED")],
      source.text,
    ).map(({ message, offset }) => ({ code: codes.syntax, message, origin: at(offset) }));
    if (second !== undefined) {
      const message = "a second document begins here without ---";
      problems.push({ code: codes.syntax, message, origin: at(second.range[0]) });
    }
    const reader = new YamlReader(at, start);
    const value = reader.read(parsed.contents);
    const document = { value, locate: reader.locator(parsed.contents) };
    problems.push(...reader.problems);
    return problems.length === 0 ? { ok: true, document } : { ok: false, problems, partial: document };
  } catch (error) {
    if (error instanceof TooManyErrors) {
      const problems = syntaxProblems(error.found, source.text).map(({ message, offset }) => ({
        code: codes.syntax,
        message,
        origin: at(offset),
      }));
      return { ok: false, problems, partial: undefined };
    }
    // The parser recurses; on hostile nesting the engine's stack ends before our own bound is reached.
    const message =
      error instanceof RangeError
        ? `nested deeper than ${limits.depth} levels`
        : `cannot be read as YAML: ${String(error)}`;
    return { ok: false, problems: [{ code: codes.bounds, message, origin: start }], partial: undefined };
  }
}

/** Ends composing; carries what was found until then. */
class TooManyErrors extends Error {
  readonly found: readonly YAMLError[];
  constructor(found: readonly YAMLError[]) {
    super("too many errors");
    this.found = found;
  }
}

/**
 * Makes the library stop after as many errors as are reported. It has no option for that, and a text of megabytes that is wrong
 * at every character would keep it busy for minutes.
 */
function boundErrors(composer: Composer): void {
  const report: unknown = Reflect.get(composer, "onError");
  if (typeof report !== "function") return;
  const found: YAMLError[] = [];
  Reflect.set(composer, "onError", (source: ErrorSource, code: ErrorCode, message: string, warning?: boolean) => {
    if (!warning) found.push(new YAMLParseError(positionOf(source), code, message));
    if (found.length > limits.findings) throw new TooManyErrors(found);
    report(source, code, message, warning);
  });
}

type ErrorCode = YAMLError["code"];
type ErrorSource = number | readonly [number, number] | { readonly offset: number; readonly source?: string };

function positionOf(source: ErrorSource): [number, number] {
  if (typeof source === "number") return [source, source + 1];
  if ("offset" in source) return [source.offset, source.offset + (source.source?.length ?? 1)];
  return [source[0], source[1]];
}

/**
 * The library's tokens, refused as soon as collections nest too deeply: its composer recurses, so on hostile input the stack
 * or the heap would end before a check on the finished tree is reached.
 */
function tokenize(
  text: string,
  lines: LineCounter,
): Result<readonly CST.Token[], { code: string; message: string; offset: number }> {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  const tokens: CST.Token[] = [];
  let errors = 0;
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) {
      tokens.push(token);
      if (token.type === "error") errors++;
    }
    // One level of the stack is the document itself, one the value being read.
    if (parser.stack.length > limits.depth + 2) {
      return err({ code: codes.bounds, message: `nested deeper than ${limits.depth} levels`, offset: parser.offset });
    }
    if (errors > limits.findings) {
      return err({ code: codes.syntax, message: "this is not YAML", offset: 0 });
    }
  }
  tokens.push(...parser.end());
  return ok(tokens);
}
