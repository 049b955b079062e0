import { type Binary, CelProblem, type Syntax } from "./syntax.ts";
import { type Token, tokensOf } from "./tokens.ts";

/** Longest expression, in characters. */
export const MAX_LENGTH = 4096;
/** Deepest nesting. */
const MAX_DEPTH = 64;

/** Operators with two sides, by how tightly they bind. */
const LEVELS: readonly (readonly Binary[])[] = [
  ["||"],
  ["&&"],
  ["==", "!=", "<", "<=", ">", ">=", "in"],
  ["+", "-"],
  ["*", "/", "%"],
];
/** Words that name nothing. @see https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax */
const RESERVED: ReadonlySet<string> = new Set(
  "as break const continue else for function if import let loop package namespace return var void while in".split(" "),
);

/** @throws CelProblem saying where the text leaves the language. */
export function parse(text: string): Syntax {
  if (text.trim() === "") throw new CelProblem("it is empty");
  if (text.length > MAX_LENGTH) throw new CelProblem(`it is longer than ${MAX_LENGTH} characters`);
  const parser = new Parser(tokensOf(text));
  return parser.whole();
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Syntax {
    const made = this.#expression();
    if (this.#token.kind !== "end") this.#unexpected();
    return made;
  }

  get #token(): Token {
    return this.#tokens[this.#next] ?? { kind: "end", at: 0 };
  }

  /** Takes the token if it is this word or mark. */
  #take(text: string): boolean {
    const token = this.#token;
    if (token.kind === "end" || token.kind === "literal" || token.text !== text) return false;
    this.#next++;
    return true;
  }

  #demand(text: string): void {
    if (!this.#take(text)) this.#unexpected(`"${text}"`);
  }

  #unexpected(wanted?: string): never {
    const token = this.#token;
    const seen =
      token.kind === "end"
        ? "it ends"
        : `unexpected "${"text" in token ? token.text : token.value}" at character ${token.at + 1}`;
    throw new CelProblem(
      wanted === undefined ? (token.kind === "end" ? "it ends too early" : seen) : `${seen} where ${wanted} should be`,
    );
  }

  #expression(): Syntax {
    if (++this.#depth > MAX_DEPTH) throw new CelProblem(`it is nested deeper than ${MAX_DEPTH}`);
    const when = this.#binary(0);
    let made = when;
    if (this.#take("?")) {
      const yes = this.#binary(0);
      this.#demand(":");
      made = { kind: "choice", when, yes, no: this.#expression() };
    }
    this.#depth--;
    return made;
  }

  #binary(level: number): Syntax {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const operator = operators.find((candidate) => this.#take(candidate));
      if (operator === undefined) return left;
      left = { kind: "binary", operator, left, right: this.#binary(level + 1) };
      if (++this.#operations > MAX_LENGTH) this.#unexpected();
    }
  }
  #operations = 0;

  #unary(): Syntax {
    for (const operator of ["!", "-"] as const) {
      if (!this.#take(operator)) continue;
      if (++this.#depth > MAX_DEPTH) throw new CelProblem(`it is nested deeper than ${MAX_DEPTH}`);
      const of = this.#unary();
      this.#depth--;
      return { kind: "unary", operator, of };
    }
    return this.#member();
  }

  #member(): Syntax {
    let made = this.#primary();
    for (;;) {
      if (this.#take(".")) {
        const field = this.#name();
        made = this.#take("(")
          ? { kind: "call", target: made, name: field, args: this.#items(")") }
          : { kind: "select", of: made, field };
      } else if (this.#take("[")) {
        const key = this.#expression();
        this.#demand("]");
        made = { kind: "index", of: made, key };
      } else return made;
    }
  }

  #name(): string {
    const token = this.#token;
    if (token.kind !== "name") return this.#unexpected("a name");
    this.#next++;
    return token.text;
  }

  #primary(): Syntax {
    const token = this.#token;
    if (token.kind === "literal") {
      this.#next++;
      return { kind: "literal", value: token.value };
    }
    if (this.#take("(")) {
      const made = this.#expression();
      this.#demand(")");
      return made;
    }
    if (this.#take("[")) return { kind: "list", items: this.#items("]") };
    if (token.kind === "punctuation" && token.text === "{") throw new CelProblem("maps cannot be written here");
    if (token.kind !== "name" || RESERVED.has(token.text)) return this.#unexpected();
    this.#next++;
    if (token.text === "true" || token.text === "false") return { kind: "literal", value: token.text === "true" };
    if (token.text === "null") return { kind: "literal", value: null };
    if (this.#take("(")) return { kind: "call", target: undefined, name: token.text, args: this.#items(")") };
    return { kind: "name", name: token.text };
  }

  /** What stands between brackets, which may be nothing. */
  #items(closing: string): readonly Syntax[] {
    const items: Syntax[] = [];
    while (!this.#take(closing)) {
      if (items.length > 0) {
        this.#demand(",");
        if (closing === "]" && this.#take("]")) return items;
      }
      items.push(this.#expression());
    }
    return items;
  }
}
