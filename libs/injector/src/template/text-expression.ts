import { isObject } from "../json.ts";
import type { TemplateFunction } from "./text-functions.ts";

/** A word of an action. */
export type Token =
  | { readonly kind: "name" | "field" | "variable" | "punctuation"; readonly text: string }
  | { readonly kind: "literal"; readonly value: unknown };

/** A value to be: a literal, a path from somewhere, or a pipeline in parentheses. */
export type Operand =
  | { readonly kind: "literal"; readonly value: unknown }
  | {
      readonly kind: "path";
      readonly from: "dot" | "root" | { readonly variable: string };
      readonly path: readonly string[];
    }
  | { readonly kind: "call"; readonly name: string }
  | { readonly kind: "group"; readonly commands: readonly Command[]; readonly path: readonly string[] };
/** A function with its arguments, or a value. */
export type Command = readonly Operand[];

/** Commands joined by `|`, perhaps assigned to a variable. */
export interface Pipeline {
  readonly variable: string | undefined;
  /** `:=` rather than `=`. */
  readonly declares: boolean;
  readonly commands: readonly Command[];
}

/** What names mean at one place. */
export interface Frame {
  readonly dot: unknown;
  readonly root: unknown;
  readonly variables: Map<string, { value: unknown }>;
}

const WORD =
  /\s*(?:("(?:[^"\\]|\\.)*")|`([^`]*)`|(-?\d+(?:\.\d+)?)|((?:\.[A-Za-z_]\w*)+|\.)|(\$\w*)|([A-Za-z_]\w*)|(:=|[()|=,]))/y;

/** The words of an action. @throws Error with the line. */
export function tokenize(text: string, line: number): readonly Token[] {
  const tokens: Token[] = [];
  WORD.lastIndex = 0;
  let end = 0;
  while (end < text.trimEnd().length) {
    WORD.lastIndex = end;
    const found = WORD.exec(text);
    if (found === null) throw new Error(`line ${line}: "${text.slice(end, end + 20)}" cannot be read`);
    const isGlued = end > 0 && !/^\s/.test(found[0]);
    end = WORD.lastIndex;
    const [, quoted, raw, number, field, variable, name, punctuation] = found;
    if (quoted !== undefined) tokens.push({ kind: "literal", value: JSON.parse(quoted) as string });
    else if (raw !== undefined) tokens.push({ kind: "literal", value: raw });
    else if (number !== undefined) tokens.push({ kind: "literal", value: Number(number) });
    // A field right after `)` or a variable belongs to it.
    else if (field !== undefined) tokens.push({ kind: isGlued ? "field" : "punctuation", text: field });
    else if (variable !== undefined) tokens.push({ kind: "variable", text: variable });
    else if (name !== undefined) tokens.push(nameToken(name));
    else tokens.push({ kind: "punctuation", text: punctuation ?? "" });
  }
  return tokens;
}

function nameToken(name: string): Token {
  if (name === "true" || name === "false") return { kind: "literal", value: name === "true" };
  return name === "nil" ? { kind: "literal", value: undefined } : { kind: "name", text: name };
}

/** Reads a pipeline. @throws Error with the line. */
export function parsePipeline(tokens: readonly Token[], line: number): Pipeline {
  const [first, second] = tokens;
  const isAssignment =
    first?.kind === "variable" && second?.kind === "punctuation" && (second.text === ":=" || second.text === "=");
  const reader = { tokens: isAssignment ? tokens.slice(2) : tokens, at: 0, line };
  const commands = readCommands(reader);
  if (reader.at < reader.tokens.length) throw new Error(`line ${line}: unexpected end of an expression`);
  return {
    variable: isAssignment ? first.text : undefined,
    declares: isAssignment && second.text === ":=",
    commands,
  };
}

interface Reader {
  readonly tokens: readonly Token[];
  at: number;
  readonly line: number;
}

function readCommands(reader: Reader): readonly Command[] {
  const commands: Command[] = [readCommand(reader)];
  while (isPunctuation(reader, "|")) {
    reader.at++;
    commands.push(readCommand(reader));
  }
  return commands;
}

function isPunctuation({ tokens, at }: Reader, text: string): boolean {
  const token = tokens[at];
  return token?.kind === "punctuation" && token.text === text;
}

function readCommand(reader: Reader): Command {
  const operands: Operand[] = [];
  while (reader.at < reader.tokens.length && !isPunctuation(reader, "|") && !isPunctuation(reader, ")")) {
    operands.push(readOperand(reader));
  }
  if (operands.length === 0) throw new Error(`line ${reader.line}: an expression is missing`);
  return operands;
}

function readOperand(reader: Reader): Operand {
  const token = reader.tokens[reader.at++];
  if (token === undefined) throw new Error(`line ${reader.line}: an expression is missing`);
  switch (token.kind) {
    case "literal":
      return token;
    case "name":
      return { kind: "call", name: token.text };
    case "variable": {
      const path = fieldsAfter(reader);
      return { kind: "path", from: token.text === "$" ? "root" : { variable: token.text }, path };
    }
    case "field":
      return { kind: "path", from: "dot", path: names(token.text) };
    case "punctuation": {
      if (token.text.startsWith(".")) return { kind: "path", from: "dot", path: names(token.text) };
      if (token.text !== "(") throw new Error(`line ${reader.line}: unexpected "${token.text}"`);
      const commands = readCommands(reader);
      if (!isPunctuation(reader, ")")) throw new Error(`line ${reader.line}: ")" is missing`);
      reader.at++;
      return { kind: "group", commands, path: fieldsAfter(reader) };
    }
  }
}

function fieldsAfter(reader: Reader): readonly string[] {
  const next = reader.tokens[reader.at];
  if (next?.kind !== "field") return [];
  reader.at++;
  return names(next.text);
}

function names(text: string): readonly string[] {
  return text.split(".").filter((name) => name !== "");
}

/** Names of the functions that commands call. */
export function calledFunctions(commands: readonly Command[]): readonly string[] {
  return commands.flat().flatMap((operand) => {
    if (operand.kind === "call") return [operand.name];
    return operand.kind === "group" ? calledFunctions(operand.commands) : [];
  });
}

type Functions = ReadonlyMap<string, TemplateFunction>;

/** The value of commands, each given the one before as its last argument. @throws Error with the line. */
export function evaluate(commands: readonly Command[], frame: Frame, functions: Functions, line: number): unknown {
  let value: unknown;
  for (const [index, command] of commands.entries())
    value = run(command, index > 0 ? [value] : [], frame, { functions, line });
  return value;
}

interface Place {
  readonly functions: Functions;
  readonly line: number;
}

function run(command: Command, piped: readonly unknown[], frame: Frame, place: Place): unknown {
  const [first, ...rest] = command;
  if (first?.kind === "call") {
    const called = place.functions.get(first.name);
    if (called === undefined) throw new Error(`line ${place.line}: there is no function "${first.name}"`);
    const given = [...rest.map((operand) => valueFor(operand, frame, place)), ...piped];
    try {
      return called(...given);
    } catch (error) {
      throw new Error(`line ${place.line}: ${first.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (first === undefined || rest.length > 0 || piped.length > 0) {
    throw new Error(`line ${place.line}: only functions take arguments`);
  }
  return valueFor(first, frame, place);
}

function valueFor(operand: Operand, frame: Frame, place: Place): unknown {
  switch (operand.kind) {
    case "literal":
      return operand.value;
    case "call":
      return run([operand], [], frame, place);
    case "group":
      return walk(evaluate(operand.commands, frame, place.functions, place.line), operand.path);
    case "path": {
      const { from, path } = operand;
      if (from === "dot") return walk(frame.dot, path);
      if (from === "root") return walk(frame.root, path);
      const cell = frame.variables.get(from.variable);
      if (cell === undefined) throw new Error(`line ${place.line}: variable ${from.variable} is not declared`);
      return walk(cell.value, path);
    }
  }
}

function walk(value: unknown, path: readonly string[]): unknown {
  let current = value;
  for (const name of path) current = fieldOf(current, name);
  return current;
}

/** A field by its name; Go's names begin with a capital where JSON's do not. What is not there is nothing. */
export function fieldOf(value: unknown, name: string): unknown {
  if (!isObject(value)) return undefined;
  if (Object.hasOwn(value, name)) return value[name];
  const json = name.charAt(0).toLowerCase() + name.slice(1);
  return Object.hasOwn(value, json) ? value[json] : undefined;
}

/** How a value is written into the text. */
export function textFrom(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
