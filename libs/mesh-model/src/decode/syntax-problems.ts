import type { YAMLError } from "yaml";

/**
 * The library's errors, with the two commonest mistakes put in words a person can act on: a line that is indented deeper than
 * its neighbours, and a colon inside a value. Both are for the parser a map where a key should be.
 */
export function syntaxProblems(
  errors: readonly YAMLError[],
  text: string,
): readonly { readonly message: string; readonly offset: number }[] {
  const compact = new Map<number, boolean>();
  for (const { code, pos } of errors) {
    if (code === "BLOCK_AS_IMPLICIT_KEY") compact.set(pos[0], compact.get(pos[0]) ?? false);
    if (code === "MULTILINE_IMPLICIT_KEY") compact.set(pos[0], true);
  }
  return errors.flatMap(({ code, pos, message }) => {
    const [offset] = pos;
    if (code === "MULTILINE_IMPLICIT_KEY" && errors.some((other) => isCompactAt(other, offset))) return [];
    if (code !== "BLOCK_AS_IMPLICIT_KEY") return [{ message: lowerFirst(message), offset }];
    const nextLine = text.slice(offset).search(/\n[ \t]*[^\s#]/);
    if (compact.get(offset) === true && nextLine >= 0) {
      const start = offset + nextLine + 1;
      const indent = text.slice(start).search(/\S/);
      return [{ message: "this line is indented differently from those before it", offset: start + indent }];
    }
    return [{ message: `a value with ": " in it must be put in quotes`, offset }];
  });
}

function isCompactAt(error: YAMLError, offset: number): boolean {
  return error.code === "BLOCK_AS_IMPLICIT_KEY" && error.pos[0] === offset;
}

function lowerFirst(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}
