import { CelProblem } from "./syntax.ts";

/** A piece of an expression; `at` counts characters from 0. */
export type Token =
  | { readonly kind: "name" | "punctuation"; readonly text: string; readonly at: number }
  | { readonly kind: "literal"; readonly value: bigint | number | string; readonly at: number }
  | { readonly kind: "end"; readonly at: number };

const PATTERNS = {
  space: /(?:[ \t\r\n\f]|\/\/[^\n]*)+/y,
  number: /0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?/y,
  name: /[A-Za-z_][A-Za-z0-9_]*/y,
  punctuation: /\|\||&&|[=!<>]=|[-+*/%<>!?:.,()[\]{}]/y,
};
const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
/** Digits that follow, and their base. */
const CODES: Readonly<Record<string, readonly [digits: number, base: number]>> = {
  x: [2, 16],
  X: [2, 16],
  u: [4, 16],
  U: [8, 16],
};

/** @throws CelProblem with the place of what is no token of the language. */
export function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const match = (kind: keyof typeof PATTERNS): string | undefined => {
    const pattern = PATTERNS[kind];
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  while (at < text.length) {
    const space = match("space");
    if (space !== undefined) {
      at += space.length;
      continue;
    }
    const string = stringAt(text, at);
    if (string !== undefined) {
      tokens.push({ kind: "literal", value: string.value, at });
      at = string.end;
      continue;
    }
    const number = match("number");
    const name = match("name");
    const found = number ?? name ?? match("punctuation");
    if (found === undefined) throw new CelProblem(`unexpected "${text[at]}" at character ${at + 1}`);
    if (number !== undefined) {
      if (/[A-Za-z0-9_]/.test(text[at + found.length] ?? "")) {
        throw new CelProblem(
          `"${found}${text[at + found.length]}" at character ${at + 1} is not a number that is supported`,
        );
      }
      tokens.push({ kind: "literal", value: /^0[xX]|^[0-9]+$/.test(found) ? BigInt(found) : Number(found), at });
    } else tokens.push({ kind: name === undefined ? "punctuation" : "name", text: found, at });
    at += found.length;
  }
  tokens.push({ kind: "end", at });
  return tokens;
}

/** A string literal that begins at `at`: single or triple quotes, raw with `r`. Bytes are refused. */
function stringAt(text: string, at: number): { readonly value: string; readonly end: number } | undefined {
  const opening = /([rRbB]{0,2})("""|'''|"|')/y;
  opening.lastIndex = at;
  const begin = opening.exec(text);
  if (begin === null) return undefined;
  const [whole, prefix = "", quote = ""] = begin;
  if (/b/i.test(prefix)) throw new CelProblem(`bytes (character ${at + 1}) are not supported`);
  const raw = prefix !== "";
  let value = "";
  let next = at + whole.length;
  while (!text.startsWith(quote, next)) {
    const character = text[next];
    if (character === undefined || (character === "\n" && quote.length === 1)) {
      throw new CelProblem(`the text at character ${at + 1} has no end`);
    }
    if (character !== "\\" || raw) {
      value += character;
      next++;
      continue;
    }
    const escaped = escapeAt(text, next + 1);
    value += escaped.value;
    next = escaped.end;
  }
  return { value, end: next + quote.length };
}

function escapeAt(text: string, at: number): { readonly value: string; readonly end: number } {
  const letter = text[at] ?? "";
  const plain = ESCAPES[letter] ?? (/[\\'"`?]/.test(letter) ? letter : undefined);
  if (plain !== undefined) return { value: plain, end: at + 1 };
  const [digits, base] = CODES[letter] ?? (/[0-3]/.test(letter) ? [3, 8] : [0, 10]);
  const start = base === 8 ? at : at + 1;
  const code = text.slice(start, start + digits);
  const point = new RegExp(`^[${base === 8 ? "0-7" : "0-9a-fA-F"}]{${digits}}$`).test(code)
    ? Number.parseInt(code, base)
    : -1;
  if (digits === 0 || point < 0 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
    throw new CelProblem(`"\\${letter}" at character ${at} is not an escape`);
  }
  return { value: String.fromCodePoint(point), end: start + digits };
}
