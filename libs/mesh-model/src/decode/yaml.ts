import { err, ok, type Result } from "@lateen/kernel";
import {
  Composer,
  type CST,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Pair,
  Parser,
  type Scalar,
  type YAMLMap,
} from "yaml";
import { codes } from "../errors.ts";
import type { Origin } from "../origin.ts";
import { limits } from "./limits.ts";
import type { DocumentText } from "./split.ts";
import type { Locate, Path } from "./types.ts";

/** A parsed document as plain JSON, and where each part of it stands. */
export interface YamlValue {
  readonly value: unknown;
  readonly locate: Locate;
}
export interface YamlProblem {
  readonly code: string;
  readonly message: string;
  readonly origin: Origin;
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
    const [parsed, second] = composer.compose(tokens.value, true, source.text.length);
    if (parsed === undefined) return { ok: true, document: { value: null, locate: () => start } };
    const problems: YamlProblem[] = [
      ...parsed.errors,
      ...parsed.warnings.filter((warning) => warning.code === "TAG_RESOLVE_FAILED"),
    ].map((error) => ({ code: codes.syntax, message: lowerFirst(error.message), origin: at(error.pos[0]) }));
    if (second !== undefined) {
      const message = "a second document begins here without ---";
      problems.push({ code: codes.syntax, message, origin: at(second.range[0]) });
    }
    const reader = new Reader(at, start);
    const value = reader.read(parsed.contents);
    const document = { value, locate: reader.locator(parsed.contents) };
    problems.push(...reader.problems);
    return problems.length === 0 ? { ok: true, document } : { ok: false, problems, partial: document };
  } catch (error) {
    // The parser recurses; on hostile nesting the engine's stack ends before our own bound is reached.
    const message =
      error instanceof RangeError
        ? `nested deeper than ${limits.depth} levels`
        : `cannot be read as YAML: ${String(error)}`;
    return { ok: false, problems: [{ code: codes.bounds, message, origin: start }], partial: undefined };
  }
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

/** Turns the library's tree into plain JSON the way Kubernetes reads YAML, within bounds. */
class Reader {
  readonly problems: YamlProblem[] = [];
  readonly #at: (offset: number) => Origin;
  readonly #start: Origin;
  readonly #anchors = new Map<string, unknown>();
  /** Alias node → the node it stands for. */
  readonly #targets = new Map<unknown, unknown>();
  #values = 0;
  #aliased = 0;
  #inAlias = 0;
  #full = false;

  constructor(at: (offset: number) => Origin, start: Origin) {
    this.#at = at;
    this.#start = start;
  }

  read(node: unknown, depth = 0): unknown {
    if (this.#full || !this.#count(node, depth)) return undefined;
    if (isAlias(node)) return this.#readAlias(node, depth);
    const anchor = (node as { anchor?: string } | null)?.anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    if (isScalar(node)) return this.#readScalar(node);
    if (isSeq(node)) return node.items.map((item) => this.read(item, depth + 1) ?? null);
    if (isMap(node)) return this.#readMap(node, depth);
    return null;
  }

  locator(root: unknown): Locate {
    return (path, part) => {
      const found = this.#find(root, path);
      const node = (part === "key" ? (found.key ?? found.value) : found.value) ?? found.key;
      const range = (node as { range?: readonly [number, number, number] | null } | undefined)?.range;
      return range ? this.#at(range[0]) : this.#start;
    };
  }

  #count(node: unknown, depth: number): boolean {
    this.#values++;
    if (this.#inAlias > 0) this.#aliased++;
    const message =
      depth > limits.depth
        ? `nested deeper than ${limits.depth} levels`
        : this.#aliased > limits.aliasedValues
          ? `aliases expand to more than ${limits.aliasedValues} values`
          : this.#values > limits.values
            ? `more than ${limits.values} values in one document`
            : undefined;
    if (message === undefined) return true;
    this.#full = true;
    this.#problem(node, message, codes.bounds);
    return false;
  }

  #readAlias(node: { readonly source: string }, depth: number): unknown {
    const target = this.#anchors.get(node.source);
    if (target === undefined) {
      this.#problem(node, `alias *${node.source} has no anchor before it`, codes.syntax);
      return null;
    }
    this.#targets.set(node, target);
    this.#inAlias++;
    const value = this.read(target, depth + 1);
    this.#inAlias--;
    return value;
  }

  #readScalar(node: Scalar): unknown {
    const { value } = node;
    // go-yaml, and so kubectl, reads 0644 as octal.
    if (typeof value === "number" && node.source !== undefined && /^0[0-7]+$/.test(node.source)) {
      return Number.parseInt(node.source, 8);
    }
    if (typeof value === "number" && !Number.isFinite(value)) {
      this.#problem(node, `${node.source ?? "this"} is not a number that can be kept`, codes.badValue);
      return null;
    }
    return value === undefined ? null : value;
  }

  #readMap(node: YAMLMap, depth: number): unknown {
    const result: Record<string, unknown> = {};
    const merges: Pair[] = [];
    for (const pair of node.items) {
      const name = this.#keyOf(pair);
      if (name === undefined) continue;
      if (name === "<<" && isPlain(pair.key)) {
        merges.push(pair);
        continue;
      }
      if (name === "__proto__") this.#problem(pair.key, `"__proto__" cannot be a name`, codes.badValue);
      else if (Object.hasOwn(result, name)) this.#problem(pair.key, `"${name}" is written twice`, codes.duplicate);
      else result[name] = this.read(pair.value, depth + 1);
    }
    for (const pair of merges) this.#merge(result, pair, depth);
    return result;
  }

  #merge(into: Record<string, unknown>, pair: Pair, depth: number): void {
    const merged = this.read(pair.value, depth + 1);
    for (const source of Array.isArray(merged) ? merged : [merged]) {
      if (typeof source !== "object" || source === null || Array.isArray(source)) {
        this.#problem(pair.value, `"<<" needs a map`, codes.syntax);
        return;
      }
      for (const [name, value] of Object.entries(source)) {
        if (!Object.hasOwn(into, name)) into[name] = value;
      }
    }
  }

  #keyOf(pair: Pair): string | undefined {
    const { key } = pair;
    if (!isScalar(key) || key.value === null || key.value === undefined) {
      this.#problem(key ?? pair.value, "a name must be plain text", codes.syntax);
      return undefined;
    }
    return typeof key.value === "string" ? key.value : (key.source ?? String(key.value));
  }

  #problem(node: unknown, message: string, code: string): void {
    if (this.problems.length >= limits.findings) return;
    const range = (node as { range?: readonly [number, number, number] | null } | null)?.range;
    this.problems.push({ code, message, origin: range ? this.#at(range[0]) : this.#start });
  }

  /** The deepest part of the path that exists. */
  #find(root: unknown, path: Path): { key: unknown; value: unknown } {
    let found: { key: unknown; value: unknown } = { key: undefined, value: root };
    for (const segment of path) {
      const inner = this.#child(this.#targets.get(found.value) ?? found.value, segment);
      if (inner === undefined) break;
      found = inner;
    }
    return found;
  }

  #child(node: unknown, segment: string | number): { key: unknown; value: unknown } | undefined {
    if (isSeq(node)) {
      const item = typeof segment === "number" ? node.items[segment] : undefined;
      return item === undefined ? undefined : { key: undefined, value: item };
    }
    if (!isMap(node)) return undefined;
    for (const pair of node.items) {
      if (isScalar(pair.key) && (pair.key.value === segment || pair.key.source === segment)) {
        return { key: pair.key, value: pair.value };
      }
    }
    for (const pair of node.items) {
      if (!isScalar(pair.key) || pair.key.value !== "<<") continue;
      const merged = this.#targets.get(pair.value) ?? pair.value;
      const inner = this.#child(merged, segment);
      if (inner !== undefined) return inner;
    }
    return undefined;
  }
}

function isPlain(node: unknown): boolean {
  return isScalar(node) && node.type === "PLAIN";
}

function lowerFirst(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}
