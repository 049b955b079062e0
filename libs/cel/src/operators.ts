import type { Node } from "./functions.ts";
import { type Binary, CelProblem } from "./syntax.ts";
import { CelDuration, type CelMap, CelTimestamp, type CelType, type CelValue } from "./values.ts";

const SMALLEST = -(2n ** 63n);
const LARGEST = 2n ** 63n - 1n;
const NUMBERS: ReadonlySet<CelType> = new Set(["int", "double"]);
const ORDERED: ReadonlySet<CelType> = new Set(["int", "double", "string", "bool", "timestamp", "duration"]);

type Two = (left: CelValue, right: CelValue) => CelValue | undefined;

/** `!` */
export function not<Facts>(of: Node<Facts>): Node<Facts> {
  if (of.type !== "bool" && of.type !== "any") throw new CelProblem(`"!" stands before a ${of.type}`);
  return {
    type: "bool",
    run: (facts) => {
      const value = of.run(facts);
      return typeof value === "boolean" ? !value : undefined;
    },
    constant: of.constant,
  };
}

/** `-` before a number. */
export function negate<Facts>(of: Node<Facts>): Node<Facts> {
  if (!NUMBERS.has(of.type) && of.type !== "any") throw new CelProblem(`"-" stands before a ${of.type}`);
  return {
    type: of.type,
    run: (facts) => {
      const value = of.run(facts);
      if (typeof value === "bigint") return whole(-value);
      return typeof value === "number" ? -value : undefined;
    },
    constant: of.constant,
  };
}

/** @throws CelProblem for operands that can never be put together. */
export function binary<Facts>(operator: Binary, left: Node<Facts>, right: Node<Facts>): Node<Facts> {
  if (operator === "||" || operator === "&&") return logical(operator, left, right);
  const type = resultOf(operator, left.type, right.type);
  if (type === undefined) throw new CelProblem(`"${operator}" cannot join ${left.type} and ${right.type}`);
  const join = OPERATIONS[operator];
  return {
    type,
    run: (facts) => {
      const a = left.run(facts);
      const b = right.run(facts);
      return a === undefined || b === undefined ? undefined : join(a, b);
    },
    constant: left.constant && right.constant,
  };
}

/** One side may decide alone, also when the other has no value. */
function logical<Facts>(operator: "||" | "&&", left: Node<Facts>, right: Node<Facts>): Node<Facts> {
  for (const { type } of [left, right]) {
    if (type !== "bool" && type !== "any") throw new CelProblem(`"${operator}" joins bools, not a ${type}`);
  }
  const deciding = operator === "||";
  return {
    type: "bool",
    run: (facts) => {
      const a = left.run(facts);
      if (a === deciding) return deciding;
      const b = right.run(facts);
      if (b === deciding) return deciding;
      return typeof a === "boolean" && typeof b === "boolean" ? !deciding : undefined;
    },
    constant: left.constant && right.constant,
  };
}

/** Type of the result; undefined: there can be none. */
function resultOf(operator: Exclude<Binary, "||" | "&&">, left: CelType, right: CelType): CelType | undefined {
  const open = left === "any" || right === "any";
  const numbers = NUMBERS.has(left) && NUMBERS.has(right);
  switch (operator) {
    case "==":
    case "!=":
      return open || left === right || numbers || left === "null" || right === "null" ? "bool" : undefined;
    case "<":
    case "<=":
    case ">":
    case ">=":
      return open || numbers || (left === right && ORDERED.has(left)) ? "bool" : undefined;
    case "in":
      return right === "list" || right === "any" || (right === "map" && (left === "string" || left === "any"))
        ? "bool"
        : undefined;
    case "+":
      if (open) return "any";
      if (left === "string" || left === "list" || left === "duration") {
        if (left === right) return left;
        return left === "duration" && right === "timestamp" ? "timestamp" : undefined;
      }
      if (left === "timestamp") return right === "duration" ? "timestamp" : undefined;
      return left === right && NUMBERS.has(left) ? left : undefined;
    case "-":
      if (open) return "any";
      if (left === "timestamp")
        return right === "timestamp" ? "duration" : right === "duration" ? "timestamp" : undefined;
      return left === right && (NUMBERS.has(left) || left === "duration") ? left : undefined;
    case "*":
    case "/":
      return open ? "any" : left === right && NUMBERS.has(left) ? left : undefined;
    case "%":
      return open ? "any" : left === "int" && right === "int" ? "int" : undefined;
  }
}

const OPERATIONS: Readonly<Record<Exclude<Binary, "||" | "&&">, Two>> = {
  "==": (a, b) => equal(a, b),
  "!=": (a, b) => !equal(a, b),
  "<": (a, b) => ordered(a, b, (order) => order < 0),
  "<=": (a, b) => ordered(a, b, (order) => order <= 0),
  ">": (a, b) => ordered(a, b, (order) => order > 0),
  ">=": (a, b) => ordered(a, b, (order) => order >= 0),
  in: (a, b) => {
    if (Array.isArray(b)) return b.some((item) => equal(a, item));
    return typeof a === "string" && isMap(b) ? b.get(a) !== undefined : undefined;
  },
  "+": (a, b) => {
    if (typeof a === "bigint" && typeof b === "bigint") return whole(a + b);
    if (typeof a === "number" && typeof b === "number") return a + b;
    if (typeof a === "string" && typeof b === "string") return a + b;
    if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
    if (a instanceof CelDuration && b instanceof CelDuration) return new CelDuration(a.ms + b.ms);
    if (a instanceof CelTimestamp && b instanceof CelDuration) return new CelTimestamp(a.ms + b.ms);
    if (a instanceof CelDuration && b instanceof CelTimestamp) return new CelTimestamp(a.ms + b.ms);
    return undefined;
  },
  "-": (a, b) => {
    if (typeof a === "bigint" && typeof b === "bigint") return whole(a - b);
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (a instanceof CelTimestamp && b instanceof CelTimestamp) return new CelDuration(a.ms - b.ms);
    if (a instanceof CelTimestamp && b instanceof CelDuration) return new CelTimestamp(a.ms - b.ms);
    if (a instanceof CelDuration && b instanceof CelDuration) return new CelDuration(a.ms - b.ms);
    return undefined;
  },
  "*": (a, b) => {
    if (typeof a === "bigint" && typeof b === "bigint") return whole(a * b);
    return typeof a === "number" && typeof b === "number" ? a * b : undefined;
  },
  "/": (a, b) => {
    if (typeof a === "bigint" && typeof b === "bigint") return b === 0n ? undefined : whole(a / b);
    return typeof a === "number" && typeof b === "number" ? a / b : undefined;
  },
  "%": (a, b) => (typeof a === "bigint" && typeof b === "bigint" && b !== 0n ? a % b : undefined),
};

/** An int beyond 64 bits is an error in the language. */
function whole(value: bigint): bigint | undefined {
  return value < SMALLEST || value > LARGEST ? undefined : value;
}

function isMap(value: CelValue): value is CelMap {
  return typeof value === "object" && value !== null && "get" in value;
}

function equal(a: CelValue, b: CelValue): boolean {
  // biome-ignore lint/suspicious/noDoubleEquals: 1 and 1.0 are equal in the language; both are numbers here.
  if (isNumber(a) && isNumber(b)) return a == b;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => equal(item, b[index] as CelValue));
  }
  if (a instanceof CelTimestamp && b instanceof CelTimestamp) return a.ms === b.ms;
  if (a instanceof CelDuration && b instanceof CelDuration) return a.ms === b.ms;
  return a === b;
}

function isNumber(value: CelValue): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function ordered(a: CelValue, b: CelValue, holds: (order: number) => boolean): boolean | undefined {
  const [left, right] = [comparable(a), comparable(b)];
  if (left === undefined || right === undefined) return undefined;
  const numbers = typeof left !== "string" && typeof right !== "string";
  if (!numbers && typeof left !== typeof right) return undefined;
  if (Number.isNaN(left) || Number.isNaN(right)) return false;
  return holds(left < right ? -1 : left > right ? 1 : 0);
}

function comparable(value: CelValue): string | number | bigint | undefined {
  if (value instanceof CelTimestamp || value instanceof CelDuration) return value.ms;
  if (typeof value === "boolean") return value ? 1 : 0;
  return typeof value === "string" || isNumber(value) ? value : undefined;
}
