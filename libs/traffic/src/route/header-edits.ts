import { wireText } from "../head/bytes.ts";
import type { FormatOperator, FormatPart } from "./format.ts";
import { parseFormat } from "./format.ts";
import type { HeaderEditSpec, HeaderValueSpec } from "./spec.ts";

/** Where edits go, values one character a byte; the proxy's `HeadEdits` is one. */
export interface HeaderEditSink {
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  remove(name: string): void;
}

/** Text of a command operator for the request at hand; empty when unknown. */
export type ResolveOperator = (operator: FormatOperator) => string;

export interface CompiledHeaderEdits {
  /** Nothing to do: `apply` need not be called. */
  readonly empty: boolean;
  /** Values without operators never call `resolve`. A value that turns out empty is not added, as in Envoy. */
  apply(sink: HeaderEditSink, resolve: ResolveOperator): void;
}

interface CompiledValue {
  readonly name: string;
  readonly append: boolean;
  /** The whole value when it has no operators. */
  readonly fixed: string | undefined;
  readonly parts: readonly FormatPart[];
}

/**
 * Compiles edits of one or more levels; they are applied in the given order (Envoy: cluster, route, virtual host, table), within
 * a level removals first, so that a level may replace what it removes.
 */
export function compileHeaderEdits(...levels: readonly HeaderEditSpec[]): CompiledHeaderEdits {
  const compiled = levels
    .filter((level) => level.set.length + level.append.length + level.remove.length > 0)
    .map((level) => ({
      values: [...level.set.map((v) => compileValue(v, false)), ...level.append.map((v) => compileValue(v, true))],
      remove: level.remove.map((name) => name.toLowerCase()),
    }));
  return {
    empty: compiled.length === 0,
    apply(sink, resolve) {
      for (const level of compiled) {
        for (const name of level.remove) sink.remove(name);
        for (const value of level.values) applyValue(value, sink, resolve);
      }
    },
  };
}

function compileValue(spec: HeaderValueSpec, append: boolean): CompiledValue {
  const parts = parseFormat(wireText(spec.value));
  const fixed = parts.every((part) => part.kind === "text") ? parts.map((part) => part.text).join("") : undefined;
  return { name: spec.name.toLowerCase(), append, fixed, parts };
}

function applyValue(value: CompiledValue, sink: HeaderEditSink, resolve: ResolveOperator): void {
  const text = value.fixed ?? resolveParts(value.parts, resolve);
  if (text === "") return;
  if (value.append) sink.append(value.name, text);
  else sink.set(value.name, text);
}

function resolveParts(parts: readonly FormatPart[], resolve: ResolveOperator): string {
  let text = "";
  for (const part of parts) {
    if (part.kind === "text") text += part.text;
    else {
      const value = resolve(part);
      text += part.maxLength === undefined ? value : value.slice(0, part.maxLength);
    }
  }
  // Operators may carry what a client sent: a value must not end the header line.
  return text.replace(/[\r\n\0]/g, "");
}
