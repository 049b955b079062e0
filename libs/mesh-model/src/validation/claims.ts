/**
 * The path of a claim in a condition of an AuthorizationPolicy, such as `request.auth.claims[realm][name]`; undefined for other keys,
 * and for paths that cannot be read.
 */
export function conditionClaim(key: string): readonly string[] | undefined {
  const prefix = "request.auth.claims";
  return key.startsWith(prefix) ? brackets(key.slice(prefix.length)) : undefined;
}

/**
 * The path of a claim in a header condition of a VirtualService: `@request.auth.claims.realm.name`, or
 * `@request.auth.claims[realm][name]`, whose parts may hold dots.
 */
export function headerClaim(name: string): readonly string[] | undefined {
  const prefix = "@request.auth.claims";
  if (!name.toLowerCase().startsWith(prefix)) return undefined;
  const rest = name.slice(prefix.length);
  if (!rest.startsWith(".")) return brackets(rest);
  const parts = rest.slice(1).split(".");
  return parts.includes("") ? undefined : parts;
}

function brackets(text: string): readonly string[] | undefined {
  if (!/^(\[[^[\]]+\])+$/.test(text)) return undefined;
  return text.slice(1, -1).split("][");
}
