import { parseFormat } from "@lateen/traffic";
import { badAccessLogFormat } from "../chain/errors.ts";
import type { AccessLogSpec } from "../config/plan.ts";
import type { ConnectionLogFacts } from "./facts.ts";
import type { LineBuffer } from "./line-buffer.ts";
import {
  compileOperator,
  compileOperatorWriter,
  type OperatorEnvironment,
  type OperatorValue,
  type OperatorWriter,
} from "./operators.ts";

/** Writes a whole line with its end. */
export type LineFormat = (facts: ConnectionLogFacts, out: LineBuffer) => void;

/**
 * Compiles a text or JSON format.
 * @throws LateenError LTN5101 naming the operator this proxy does not have.
 */
export function compileFormat(
  format: Extract<AccessLogSpec, { kind: "file" }>["format"],
  environment: OperatorEnvironment,
): LineFormat {
  switch (format.kind) {
    case "text":
      return compileText(format.text, environment);
    case "json": {
      const write = compileJson(format.fields, environment);
      return (facts, out) => {
        const line = Buffer.from(`${write(facts)}\n`, "utf8");
        out.raw(line, 0, line.length);
      };
    }
  }
}

type Piece = string | OperatorValue;

function compilePieces(format: string, environment: OperatorEnvironment): readonly Piece[] {
  return parseFormat(format).map((part) => {
    if (part.kind === "text") return part.text;
    const operator = compileOperator(part, environment);
    if (typeof operator === "string") throw badAccessLogFormat(operator);
    return operator;
  });
}

function compileText(format: string, environment: OperatorEnvironment): LineFormat {
  const pieces = parseFormat(Buffer.from(format, "utf8").toString("latin1")).map((part) => {
    if (part.kind === "text") return Buffer.from(part.text, "latin1");
    const writer = compileOperatorWriter(part, environment);
    if (typeof writer === "string") throw badAccessLogFormat(writer);
    return writer;
  });
  return (facts, out) => {
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i] as Buffer | OperatorWriter;
      if (typeof piece === "function") piece(facts, out);
      else out.raw(piece, 0, piece.length);
    }
  };
}

type JsonWriter = (facts: ConnectionLogFacts) => string;

/** Writes UTF-8 JSON in the order of the fields. A value that is one operator keeps its type; unset is null. */
function compileJson(value: unknown, environment: OperatorEnvironment): JsonWriter {
  if (typeof value === "string") return compileJsonText(value, environment);
  if (Array.isArray(value)) {
    const elements = value.map((element) => compileJson(element, environment));
    return (facts) => `[${elements.map((write) => write(facts)).join(",")}]`;
  }
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).map(
      ([name, field]) => [`${JSON.stringify(name)}:`, compileJson(field, environment)] as const,
    );
    return (facts) => {
      let text = "{";
      for (const [name, write] of fields) text += `${text.length === 1 ? "" : ","}${name}${write(facts)}`;
      return `${text}}`;
    };
  }
  const fixed = JSON.stringify(value ?? null);
  return () => fixed;
}

function compileJsonText(format: string, environment: OperatorEnvironment): JsonWriter {
  const pieces = compilePieces(format, environment);
  const [only] = pieces;
  if (pieces.length === 1 && typeof only === "function") return (facts) => jsonValue(only(facts));
  if (pieces.every((piece) => typeof piece === "string")) {
    const fixed = JSON.stringify(pieces.join(""));
    return () => fixed;
  }
  return (facts) =>
    JSON.stringify(pieces.map((piece) => (typeof piece === "string" ? piece : utf8(piece(facts) ?? "-"))).join(""));
}

function jsonValue(value: string | number | undefined): string {
  if (value === undefined) return "null";
  return typeof value === "number" ? String(value) : JSON.stringify(utf8(value));
}

/** Header bytes read as UTF-8, since JSON must be; what is not valid becomes U+FFFD. */
function utf8(value: string | number): string {
  const text = String(value);
  return /[^ -~]/.test(text) ? Buffer.from(text, "latin1").toString("utf8") : text;
}
