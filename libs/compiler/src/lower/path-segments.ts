/** How a matched prefix is replaced: by text, or where that would leave "//" or nothing, by an expression. */
export interface ReplacedPath {
  readonly prefix?: string;
  readonly regex?: { readonly pattern: { readonly regex: string }; readonly substitution: string };
}

/**
 * Replaces a prefix of whole path segments (Gateway API ReplacePrefixMatch): slashes at the end of either do not count, and the
 * result always begins with one slash.
 * @param matched the prefix that was matched; undefined for every path.
 */
export function replacePrefix(matched: string | undefined, replacement: string): ReplacedPath {
  const wanted = replacement.replace(/\/+$/, "");
  const prefix = matched?.replace(/\/+$/, "") ?? "";
  if (prefix === "") return { prefix: `${wanted}/` };
  if (wanted !== "") return { prefix: wanted };
  return { regex: { pattern: { regex: `^${quoted(prefix)}(/?)(.*)` }, substitution: "/\\2" } };
}

/** RE2's quoting: everything but letters, digits and `_` is escaped. */
function quoted(text: string): string {
  return text.replace(/[^A-Za-z0-9_/]/gu, (character) =>
    character.charCodeAt(0) < 128 ? `\\${character}` : character,
  );
}
