import { type Pipeline, parsePipeline, type Token, tokenize } from "./text-expression.ts";

/** A piece of a template. */
export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly pipeline: Pipeline; readonly line: number }
  | BlockNode
  | (Omit<BlockNode, "kind"> & {
      readonly kind: "range";
      readonly keyVariable: string | undefined;
      readonly itemVariable: string | undefined;
    });
interface BlockNode {
  readonly kind: "if" | "with";
  readonly pipeline: Pipeline;
  readonly body: readonly Node[];
  readonly otherwise: readonly Node[];
  readonly line: number;
}

type Piece = { readonly text: string } | { readonly tokens: readonly Token[]; readonly line: number };

/** Splits a text into its parts and joins blocks. @throws Error with the line. */
export function parseNodes(text: string): readonly Node[] {
  const parser = new NodeParser(pieces(text));
  return parser.top();
}

const MAX_DEPTH = 64;

class NodeParser {
  readonly #pieces: readonly Piece[];
  #at = 0;
  #depth = 0;

  constructor(all: readonly Piece[]) {
    this.#pieces = all;
  }

  top(): readonly Node[] {
    const { nodes, end } = this.#until([]);
    if (end !== undefined) throw new Error(`line ${end.line}: "${end.word}" without a block`);
    return nodes;
  }

  /** Nodes up to one of the words that end a block. */
  #until(words: readonly string[]): {
    nodes: readonly Node[];
    end?: { word: string; line: number; rest: readonly Token[] };
  } {
    const nodes: Node[] = [];
    for (;;) {
      const piece = this.#pieces[this.#at++];
      if (piece === undefined) {
        if (words.length > 0) throw new Error("a block is not ended by {{ end }}");
        return { nodes };
      }
      if ("text" in piece) {
        nodes.push({ kind: "text", text: piece.text });
        continue;
      }
      const { line } = piece;
      const [first, ...rest] = piece.tokens;
      if (first === undefined) continue;
      const word = first.kind === "name" ? first.text : "";
      if (word === "end" || word === "else") {
        if (!words.includes(word)) throw new Error(`line ${line}: "${word}" without a block`);
        return { nodes, end: { word, line, rest } };
      }
      if (word === "define" || word === "template" || word === "block" || word === "break" || word === "continue") {
        throw new Error(`line ${line}: "${word}" cannot be used here`);
      }
      if (word === "if" || word === "with" || word === "range") nodes.push(this.#block(word, rest, line));
      else nodes.push({ kind: "action", pipeline: parsePipeline(piece.tokens, line), line });
    }
  }

  #block(kind: "if" | "with" | "range", tokens: readonly Token[], line: number): Node {
    if (++this.#depth > MAX_DEPTH) throw new Error(`line ${line}: blocks are nested deeper than ${MAX_DEPTH}`);
    const inner = this.#until(["else", "end"]);
    let otherwise: readonly Node[] = [];
    if (inner.end?.word === "else") {
      const [next, ...rest] = inner.end.rest;
      if (next?.kind === "name" && (next.text === "if" || next.text === "with")) {
        otherwise = [this.#block(next.text, rest, inner.end.line)];
      } else otherwise = this.#until(["end"]).nodes;
    }
    this.#depth--;
    if (kind !== "range") return { kind, pipeline: parsePipeline(tokens, line), body: inner.nodes, otherwise, line };
    const { names, rest } = rangeVariables(tokens);
    const [first, second] = names;
    return {
      kind,
      pipeline: parsePipeline(rest, line),
      keyVariable: second === undefined ? undefined : first,
      itemVariable: second ?? first,
      body: inner.nodes,
      otherwise,
      line,
    };
  }
}

/** `$i, $x := …` or `$x := …` before what is walked. */
function rangeVariables(tokens: readonly Token[]): { names: readonly string[]; rest: readonly Token[] } {
  const declares = tokens.findIndex((token) => token.kind === "punctuation" && token.text === ":=");
  if (declares < 0) return { names: [], rest: tokens };
  const names = tokens.slice(0, declares).flatMap((token) => (token.kind === "variable" ? [token.text] : []));
  return { names, rest: tokens.slice(declares + 1) };
}

/** Texts and actions in turn, with trim markers and comments done. */
function pieces(text: string): readonly Piece[] {
  const result: Piece[] = [];
  let at = 0;
  let trimNext = false;
  for (;;) {
    const open = text.indexOf("{{", at);
    let before = text.slice(at, open < 0 ? undefined : open);
    if (trimNext) before = before.trimStart();
    const trims = open >= 0 && /^\{\{-\s/.test(text.slice(open, open + 4));
    if (trims) before = before.trimEnd();
    if (before !== "") result.push({ text: before });
    if (open < 0) return result;
    const line = text.slice(0, open).split("\n").length;
    const close = closing(text, open + 2, line);
    const inner = text.slice(open + (trims ? 3 : 2), close);
    trimNext = /\s-$/.test(inner);
    const body = (trimNext ? inner.slice(0, -1) : inner).trim();
    if (!(body.startsWith("/*") && body.endsWith("*/"))) result.push({ tokens: tokenize(body, line), line });
    at = close + 2;
  }
}

/** Where an action ends; braces within its strings do not end it. */
function closing(text: string, from: number, line: number): number {
  let quote = "";
  for (let at = from; at < text.length; at++) {
    const letter = text.charAt(at);
    if (quote !== "") {
      if (letter === "\\" && quote === '"') at++;
      else if (letter === quote) quote = "";
    } else if (letter === '"' || letter === "`") quote = letter;
    else if (text.startsWith("}}", at)) return at;
  }
  throw new Error(`line ${line}: {{ is not closed`);
}
