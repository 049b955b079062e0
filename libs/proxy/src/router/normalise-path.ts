/** What path normalisation decided. */
export type Normalised =
  | { readonly kind: "same" }
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "redirect"; readonly path: string }
  | { readonly kind: "reject" };

export interface PathRules {
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: "keep" | "reject" | "unescapeRedirect" | "unescapeForward";
}

const SAME: Normalised = { kind: "same" };

/**
 * Normalises a path as Envoy does, so that what is judged is what is forwarded: `\` becomes `/`, percent-encoded unreserved
 * characters are decoded, dot segments go, slashes merge. The query is not touched.
 * @see envoy HttpConnectionManager normalize_path, merge_slashes, path_with_escaped_slashes_action
 */
export function normalisePath(target: string, rules: PathRules): Normalised {
  const query = target.indexOf("?");
  const original = query < 0 ? target : target.slice(0, query);
  const rest = query < 0 ? "" : target.slice(query);
  let path = original;
  let unescaped = false;
  if (rules.escapedSlashes !== "keep" && /%2f|%5c/i.test(path)) {
    if (rules.escapedSlashes === "reject") return { kind: "reject" };
    path = path.replace(/%2f/gi, "/").replace(/%5c/gi, "\\");
    unescaped = true;
  }
  if (rules.normalizePath) {
    const canonical = canonicalise(path);
    if (canonical === undefined) return { kind: "reject" };
    path = canonical;
  }
  if (rules.mergeSlashes) path = path.replace(/\/{2,}/g, "/");
  if (unescaped && rules.escapedSlashes === "unescapeRedirect") return { kind: "redirect", path: path + rest };
  return path === original ? SAME : { kind: "path", path: path + rest };
}

function canonicalise(path: string): string | undefined {
  const decoded = path.replaceAll("\\", "/").replace(/%[0-9a-fA-F]{2}/g, (escaped) => {
    const code = Number.parseInt(escaped.slice(1), 16);
    const char = String.fromCharCode(code);
    return /[A-Za-z0-9\-._~]/.test(char) ? char : escaped.toUpperCase();
  });
  if (/%00/.test(decoded)) return undefined;
  const out: string[] = [];
  const segments = decoded.split("/");
  for (const [i, segment] of segments.entries()) {
    const last = i === segments.length - 1;
    if (segment === "." || segment === "..") {
      if (segment === "..") {
        if (out.length > 1) out.pop();
      }
      if (last) out.push("");
    } else out.push(segment);
  }
  const joined = out.join("/");
  return joined.startsWith("/") ? joined : `/${joined}`;
}

/** Whether a path could need normalising at all; a cheap look before strings are made. */
export function mayNeedNormalising(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte === 63) return false;
    if (byte === 37 || byte === 92) return true;
    if (byte === 47 && i + 1 < end && (bytes[i + 1] === 47 || bytes[i + 1] === 46)) return true;
  }
  return false;
}
