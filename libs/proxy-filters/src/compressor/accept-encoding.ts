/** A way to compress that a chain has. */
export interface Candidate {
  readonly encoding: string;
  readonly chooseFirst: boolean;
}

/**
 * What to send to a client that takes these encodings: the candidate it likes best, or undefined: nothing compressed. Among those
 * that it likes as much, one that is to be chosen first, then the first of the client's.
 * @param header undefined: it did not say, so that nothing is compressed.
 * @see RFC 9110 §12.5.3
 */
export function chooseEncoding(header: string | undefined, candidates: readonly Candidate[]): string | undefined {
  if (header === undefined) return undefined;
  const named = new Map<string, { readonly q: number; readonly at: number }>();
  for (const [at, token] of header.split(",").entries()) {
    const [name = "", ...parameters] = token.split(";").map((part) => part.trim());
    const q = qualityOf(parameters);
    if (name !== "" && q !== undefined) named.set(name.toLowerCase(), { q, at });
  }
  const wildcard = named.get("*");
  const liked = candidates.flatMap((candidate) => {
    const own = named.get(candidate.encoding);
    const like = own ?? wildcard;
    // As in Envoy, what only a wildcard stands for has no preference.
    const chooseFirst = own !== undefined && candidate.chooseFirst;
    return like === undefined || like.q === 0 ? [] : [{ ...candidate, ...like, chooseFirst }];
  });
  liked.sort((a, b) => b.q - a.q || Number(b.chooseFirst) - Number(a.chooseFirst) || a.at - b.at);
  const [best] = liked;
  const identity = named.get("identity");
  return best === undefined || (identity !== undefined && identity.q > best.q) ? undefined : best.encoding;
}

/** Undefined: malformed, the token does not count. */
function qualityOf(parameters: readonly string[]): number | undefined {
  for (const parameter of parameters) {
    const match = /^q\s*=\s*(.*)$/i.exec(parameter);
    if (match === null) continue;
    const text = match[1] ?? "";
    return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) : undefined;
  }
  return 1;
}
