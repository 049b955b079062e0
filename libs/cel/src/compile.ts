import { type Compiled, call, type Node } from "./functions.ts";
import { binary, negate, not } from "./operators.ts";
import { parse } from "./parse.ts";
import { CelProblem, type Syntax } from "./syntax.ts";
import type { CelMap, CelType, CelValue } from "./values.ts";

/** What an expression may name: a dotted path, its type, and how it is read. */
export interface Attribute<Facts> {
  readonly type: CelType;
  /** Undefined: it is not there, and whatever needs it has no value. */
  read(facts: Facts): CelValue | undefined;
}
export type Attributes<Facts> = Readonly<Record<string, Attribute<Facts>>>;

/** An expression that can be evaluated. */
export interface CelProgram<Facts> {
  readonly type: CelType;
  /** Undefined: something it needs is not there, or an operation has no result. Never throws; its work is bounded by its text. */
  evaluate(facts: Facts): CelValue | undefined;
}

/**
 * Parses, resolves and checks an expression of the Common Expression Language.
 * @throws CelProblem for what is no expression, and for what this evaluator has not: an unknown attribute or function, operands of
 * the wrong type, macros over lists, bytes, map literals.
 */
export function compileCel<Facts>(text: string, attributes: Attributes<Facts>): CelProgram<Facts> {
  const { type, run } = new Compiler(attributes).node(parse(text));
  return { type, evaluate: run };
}

class Compiler<Facts> {
  readonly #attributes: Attributes<Facts>;

  constructor(attributes: Attributes<Facts>) {
    this.#attributes = attributes;
  }

  node(syntax: Syntax): Node<Facts> {
    switch (syntax.kind) {
      case "literal":
        return constant(syntax.value);
      case "name":
      case "select":
        return this.#path(syntax);
      case "index":
        return this.#index(this.node(syntax.of), this.node(syntax.key));
      case "call":
        return this.#call(syntax);
      case "list":
        return this.#list(syntax.items.map((item) => this.node(item)));
      case "unary":
        return syntax.operator === "!" ? not(this.node(syntax.of)) : negate(this.node(syntax.of));
      case "binary":
        return binary(syntax.operator, this.node(syntax.left), this.node(syntax.right));
      case "choice":
        return this.#choice(this.node(syntax.when), this.node(syntax.yes), this.node(syntax.no));
    }
  }

  /** The attribute of the path, else a field of what the path without its last part is. */
  #path(syntax: Extract<Syntax, { kind: "name" | "select" }>): Node<Facts> {
    const path = pathOf(syntax);
    const attribute = path !== undefined && Object.hasOwn(this.#attributes, path) ? this.#attributes[path] : undefined;
    if (attribute !== undefined)
      return { type: attribute.type, run: (facts) => attribute.read(facts), constant: false };
    if (syntax.kind === "select" && (path === undefined || !this.#begins(pathOf(syntax.of) ?? ""))) {
      const parent = pathOf(syntax.of);
      if (parent === undefined || Object.hasOwn(this.#attributes, parent) || syntax.of.kind !== "name") {
        return this.#field(this.node(syntax.of), syntax.field);
      }
    }
    throw new CelProblem(`"${path}" is not an attribute that is known here`);
  }

  /** Attributes are found below this path. */
  #begins(path: string): boolean {
    return Object.keys(this.#attributes).some((name) => name.startsWith(`${path}.`));
  }

  #field(of: Node<Facts>, field: string): Node<Facts> {
    if (of.type !== "map") throw new CelProblem(`"${field}" is looked up in what is not a map`);
    return { type: "string", run: (facts) => (of.run(facts) as CelMap | undefined)?.get(field), constant: false };
  }

  #index(of: Node<Facts>, key: Node<Facts>): Node<Facts> {
    if (of.type === "map" && (key.type === "string" || key.type === "any")) {
      return {
        type: "string",
        run: (facts) => {
          const name = key.run(facts);
          return typeof name === "string" ? (of.run(facts) as CelMap | undefined)?.get(name) : undefined;
        },
        constant: false,
      };
    }
    if (of.type === "list" && (key.type === "int" || key.type === "any")) {
      return {
        type: "any",
        run: (facts) => {
          const index = key.run(facts);
          return typeof index === "bigint"
            ? (of.run(facts) as readonly CelValue[] | undefined)?.[Number(index)]
            : undefined;
        },
        constant: false,
      };
    }
    throw new CelProblem(`a ${of.type} has no [${key.type}]`);
  }

  #list(items: readonly Node<Facts>[]): Node<Facts> {
    const fixed = items.every((item) => item.constant);
    const run = (facts: Facts): CelValue[] | undefined => {
      const values: CelValue[] = [];
      for (const item of items) {
        const value = item.run(facts);
        if (value === undefined) return undefined;
        values.push(value);
      }
      return values;
    };
    if (!fixed) return { type: "list", run, constant: false };
    const values = run(undefined as Facts);
    return { type: "list", run: () => values, constant: true };
  }

  #choice(when: Node<Facts>, yes: Node<Facts>, no: Node<Facts>): Node<Facts> {
    if (when.type !== "bool" && when.type !== "any") throw new CelProblem(`"?" follows a ${when.type}, not a bool`);
    const run: Compiled<Facts> = (facts) => {
      const decided = when.run(facts);
      return decided === true ? yes.run(facts) : decided === false ? no.run(facts) : undefined;
    };
    return { type: yes.type === no.type ? yes.type : "any", run, constant: false };
  }

  #call({ target, name, args }: Extract<Syntax, { kind: "call" }>): Node<Facts> {
    if (target === undefined && name === "has") return this.#has(args);
    const nodes = args.map((arg) => this.node(arg));
    if (target !== undefined) nodes.unshift(this.node(target));
    return call(name, target !== undefined, nodes);
  }

  #has(args: readonly Syntax[]): Node<Facts> {
    const [field] = args;
    if (args.length !== 1 || field?.kind !== "select")
      throw new CelProblem("has() takes one field, such as request.host");
    const { run } = this.node(field);
    return { type: "bool", run: (facts) => run(facts) !== undefined, constant: false };
  }
}

function pathOf(syntax: Syntax): string | undefined {
  if (syntax.kind === "name") return syntax.name;
  if (syntax.kind !== "select") return undefined;
  const parent = pathOf(syntax.of);
  return parent === undefined ? undefined : `${parent}.${syntax.field}`;
}

function constant<Facts>(value: bigint | number | string | boolean | null): Node<Facts> {
  const types = { bigint: "int", number: "double", string: "string", boolean: "bool", object: "null" } as const;
  return { type: types[typeof value as keyof typeof types], run: () => value, constant: true };
}
