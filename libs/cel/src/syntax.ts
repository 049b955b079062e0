/** A parsed expression. Names of functions and attributes are not resolved yet. */
export type Syntax =
  | { readonly kind: "literal"; readonly value: bigint | number | string | boolean | null }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "select"; readonly of: Syntax; readonly field: string }
  | { readonly kind: "index"; readonly of: Syntax; readonly key: Syntax }
  | {
      readonly kind: "call";
      readonly target: Syntax | undefined;
      readonly name: string;
      readonly args: readonly Syntax[];
    }
  | { readonly kind: "list"; readonly items: readonly Syntax[] }
  | { readonly kind: "unary"; readonly operator: "!" | "-"; readonly of: Syntax }
  | { readonly kind: "binary"; readonly operator: Binary; readonly left: Syntax; readonly right: Syntax }
  | { readonly kind: "choice"; readonly when: Syntax; readonly yes: Syntax; readonly no: Syntax };

export type Binary = "||" | "&&" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "+" | "-" | "*" | "/" | "%";

/** Why a text is no expression, or none that can be evaluated here. */
export class CelProblem extends Error {
  override readonly name = "CelProblem";
}
