import { parse } from "@bufbuild/cel";

/** Longest expression; a parser's work grows with it. */
const MAX_LENGTH = 4096;

/** Why a text is no expression in the Common Expression Language; undefined: it is one. @see https://github.com/google/cel-spec */
export function celProblem(text: string): string | undefined {
  if (text.trim() === "") return "it is empty";
  if (text.length > MAX_LENGTH) return `it is longer than ${MAX_LENGTH} characters`;
  try {
    parse(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
