import { isIP } from "node:net";

/** What a resolver configuration says of names. @see resolv.conf(5) */
export interface SearchRules {
  /** Domains that are tried behind a name, in order. */
  readonly search: readonly string[];
  /** A name with so many dots is tried as it is first. */
  readonly ndots: number;
}

const MOST_DOMAINS = 32;
const MOST_DOTS = 15;

/** The last `search` or `domain` line counts. */
export function parseSearchRules(text: string): SearchRules {
  let search: readonly string[] = [];
  let ndots = 1;
  for (const line of text.split("\n")) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "search" || keyword === "domain")
      search = values.filter((name) => name !== ".").slice(0, MOST_DOMAINS);
    if (keyword !== "options") continue;
    for (const option of values) {
      const dots = /^ndots:(\d{1,2})$/.exec(option)?.[1];
      if (dots !== undefined) ndots = Math.min(MOST_DOTS, Number(dots));
    }
  }
  return { search, ndots };
}

/** The full names that a host name may stand for, in the order they are tried. */
export function candidates(host: string, { search, ndots }: SearchRules): readonly string[] {
  if (host.endsWith(".")) return [host.slice(0, -1)];
  const extended = search.map((domain) => `${host}.${domain.replace(/^\.|\.$/g, "")}`);
  const dots = host.split(".").length - 1;
  return dots >= ndots ? [host, ...extended] : [...extended, host];
}

/** Names (lower case) to addresses, all that the file has. @see hosts(5) */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*$/, "").trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    for (const name of names) {
      const known = found.get(name.toLowerCase());
      if (known === undefined) found.set(name.toLowerCase(), [address]);
      else if (!known.includes(address)) known.push(address);
    }
  }
  return found;
}
