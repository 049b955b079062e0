import { RE2JS } from "re2js";
import { CelProblem } from "./syntax.ts";
import { CelDuration, CelTimestamp, type CelType, type CelValue, durationOf, textOf, timestampOf } from "./values.ts";

export type Compiled<Facts> = (facts: Facts) => CelValue | undefined;

/** A checked part of an expression. */
export interface Node<Facts> {
  readonly type: CelType;
  readonly run: Compiled<Facts>;
  /** It is the same for all facts. */
  readonly constant: boolean;
}

/** A function: types it takes, and what it makes of values of them. */
interface Definition {
  readonly method: boolean;
  readonly takes: readonly (readonly CelType[])[];
  readonly gives: CelType;
  run(values: readonly CelValue[]): CelValue | undefined;
}

const text = (value: CelValue | undefined): string => value as string;
const STRING: readonly CelType[] = ["string"];
const CONVERTED: readonly CelType[] = ["string", "int", "double"];

const test = (holds: (whole: string, part: string) => boolean): Definition => ({
  method: true,
  takes: [STRING, STRING],
  gives: "bool",
  run: ([whole, part]) => holds(text(whole), text(part)),
});

const FUNCTIONS: Readonly<Record<string, Definition>> = {
  startsWith: test((whole, part) => whole.startsWith(part)),
  endsWith: test((whole, part) => whole.endsWith(part)),
  contains: test((whole, part) => whole.includes(part)),
  size: {
    method: false,
    takes: [["string", "list"]],
    gives: "int",
    run: ([value]) => BigInt(typeof value === "string" ? [...value].length : (value as readonly CelValue[]).length),
  },
  string: {
    method: false,
    takes: [["string", "int", "double", "bool", "timestamp", "duration"]],
    gives: "string",
    run: ([value]) => textOf(value),
  },
  int: {
    method: false,
    takes: [[...CONVERTED, "timestamp"]],
    gives: "int",
    run: ([value]) => {
      if (value instanceof CelTimestamp) return BigInt(Math.floor(value.ms / 1000));
      if (typeof value === "string") return /^-?[0-9]{1,18}$/.test(value) ? BigInt(value) : undefined;
      if (typeof value === "number") return Math.abs(value) < 2 ** 63 ? BigInt(Math.trunc(value)) : undefined;
      return value;
    },
  },
  double: {
    method: false,
    takes: [CONVERTED],
    gives: "double",
    run: ([value]) => {
      if (typeof value !== "string") return Number(value);
      return /^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(value) ? Number(value) : undefined;
    },
  },
  duration: { method: false, takes: [["string", "duration"]], gives: "duration", run: ([value]) => asDuration(value) },
  timestamp: {
    method: false,
    takes: [["string", "timestamp"]],
    gives: "timestamp",
    run: ([value]) => asTimestamp(value),
  },
};

function asDuration(value: CelValue | undefined): CelDuration | undefined {
  return value instanceof CelDuration ? value : durationOf(text(value));
}

function asTimestamp(value: CelValue | undefined): CelTimestamp | undefined {
  return value instanceof CelTimestamp ? value : timestampOf(text(value));
}

/** Macros and functions of the language that are not here. */
const MACROS: ReadonlySet<string> = new Set(["all", "exists", "exists_one", "filter", "map"]);

/**
 * A call of a function, or of a method, whose target is the first argument.
 * @throws CelProblem for functions that are not here and for arguments they do not take.
 */
export function call<Facts>(name: string, method: boolean, args: readonly Node<Facts>[]): Node<Facts> {
  if (name === "matches" && method) return matches(args);
  const found = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  const sizeMethod = name === "size" && method;
  if (found === undefined || (found.method !== method && !sizeMethod)) {
    throw new CelProblem(`${MACROS.has(name) ? "macro" : "function"} ${name}() is not supported`);
  }
  if (args.length !== found.takes.length)
    throw new CelProblem(`${name}() takes ${found.takes.length - Number(method)} arguments`);
  for (const [index, { type }] of args.entries()) {
    if (type !== "any" && !found.takes[index]?.includes(type))
      throw new CelProblem(`${name}() does not take a ${type}`);
  }
  const run: Compiled<Facts> = (facts) => {
    const values: CelValue[] = [];
    for (const [index, arg] of args.entries()) {
      const value = arg.run(facts);
      if (value === undefined || !found.takes[index]?.includes(typeOf(value))) return undefined;
      values.push(value);
    }
    return found.run(values);
  };
  const constant = args.every((arg) => arg.constant);
  if (!constant) return { type: found.gives, run, constant };
  const value = run(undefined as Facts);
  if (value === undefined) throw new CelProblem(`${name}() has no result for what is written there`);
  return { type: found.gives, run: () => value, constant };
}

/** RE2, as everywhere; the pattern is compiled once, so it cannot depend on a request. */
function matches<Facts>(args: readonly Node<Facts>[]): Node<Facts> {
  const [subject, pattern] = args;
  if (subject === undefined || pattern === undefined || args.length !== 2)
    throw new CelProblem("matches() takes 1 argument");
  if (subject.type !== "string" && subject.type !== "any")
    throw new CelProblem(`matches() does not take a ${subject.type}`);
  if (!pattern.constant || pattern.type !== "string")
    throw new CelProblem("matches() takes a pattern that is written out");
  const regex = compiled(text(pattern.run(undefined as Facts)));
  const run: Compiled<Facts> = (facts) => {
    const value = subject.run(facts);
    return typeof value === "string" ? regex.matcher(value).find() : undefined;
  };
  return { type: "bool", run, constant: false };
}

function compiled(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    throw new CelProblem(
      `"${pattern}" is not a regular expression (RE2): ${error instanceof Error ? error.message : error}`,
    );
  }
}

function typeOf(value: CelValue): CelType {
  if (value === null) return "null";
  if (value instanceof CelTimestamp) return "timestamp";
  if (value instanceof CelDuration) return "duration";
  if (Array.isArray(value)) return "list";
  switch (typeof value) {
    case "string":
      return "string";
    case "bigint":
      return "int";
    case "number":
      return "double";
    case "boolean":
      return "bool";
    default:
      return "map";
  }
}
