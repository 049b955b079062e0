import type { Exchange, HeadEdits } from "@lateen/proxy";
import { type FormatPart, parseFormat, wireText } from "@lateen/traffic";

/** One change of a head. @see envoy.config.common.mutation_rules.v3.HeaderMutation */
export type HeaderMutation =
  | { readonly kind: "remove"; readonly name: string }
  | {
      readonly kind: "put";
      /** Lower case. */
      readonly name: string;
      /** May hold `%…%` operators. */
      readonly value: string;
      readonly action: "append" | "addIfAbsent" | "overwrite" | "overwriteIfPresent";
      readonly keepEmpty: boolean;
    };

/** Applies changes in their order. */
export type ApplyMutations = (edits: HeadEdits, resolve: Exchange["resolve"]) => void;

/** Compiles changes; their values are parsed once. */
export function compileMutations(mutations: readonly HeaderMutation[]): ApplyMutations {
  const steps = mutations.map(step);
  return (edits, resolve) => {
    for (const apply of steps) apply(edits, resolve);
  };
}

function step(mutation: HeaderMutation): ApplyMutations {
  if (mutation.kind === "remove") return (edits) => edits.remove(mutation.name);
  const { name, action, keepEmpty } = mutation;
  const parts = parseFormat(wireText(mutation.value));
  return (edits, resolve) => {
    const value = textOf(parts, resolve);
    if (value === "" && !keepEmpty) return;
    switch (action) {
      case "append":
        edits.append(name, value);
        return;
      case "overwrite":
        edits.set(name, value);
        return;
      case "addIfAbsent":
        if (edits.textOf(name) === undefined) edits.append(name, value);
        return;
      case "overwriteIfPresent":
        if (edits.textOf(name) !== undefined) edits.set(name, value);
    }
  };
}

function textOf(parts: readonly FormatPart[], resolve: Exchange["resolve"]): string {
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
