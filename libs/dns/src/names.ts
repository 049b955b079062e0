import { parseIp } from "@lateen/traffic";

/** Lower-case names to addresses; a name that begins with `*.` stands for all below it. */
export type NameRecords = Readonly<Record<string, readonly string[]>>;

/** How a name is looked up. */
export interface NameRules {
  /** Domains that resolvers append, longest first: `default.svc.cluster.local`, `svc.cluster.local`, `cluster.local`. */
  readonly search: readonly string[];
  /** Names below it that the mesh does not know do not exist: nobody else is asked. Undefined: others are. */
  readonly zone: string | undefined;
}

/** What the mesh knows of a name. */
export type Known =
  | { readonly kind: "addresses"; readonly addresses: readonly string[]; readonly alias: string | undefined }
  | { readonly kind: "nonexistent" }
  /** Somebody else may know. */
  | { readonly kind: "unknown" };

/**
 * Finds a name: as it is, by the closest wildcard, or, when a resolver has appended a search domain to a host of the mesh, as an
 * alias of that host; so that its first try is answered.
 */
export function lookUp(name: string, records: NameRecords, { search, zone }: NameRules): Known {
  const own = find(name, records);
  if (own !== undefined) return { kind: "addresses", addresses: own, alias: undefined };
  for (const domain of search) {
    if (!name.endsWith(`.${domain}`)) continue;
    const host = name.slice(0, -domain.length - 1);
    const addresses = host.includes(".") ? find(host, records) : undefined;
    if (addresses !== undefined) return { kind: "addresses", addresses, alias: host };
  }
  if (zone !== undefined && (name === zone || name.endsWith(`.${zone}`))) return { kind: "nonexistent" };
  return { kind: "unknown" };
}

function find(name: string, records: NameRecords): readonly string[] | undefined {
  if (Object.hasOwn(records, name)) return records[name];
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
    const wildcard = `*${name.slice(dot)}`;
    if (Object.hasOwn(records, wildcard)) return records[wildcard];
  }
  return undefined;
}

/** The addresses of one family as bytes. */
export function ofFamily(addresses: readonly string[], family: 4 | 6): readonly Uint8Array[] {
  return addresses.flatMap((address) => {
    const bytes = parseIp(address);
    return bytes?.length === (family === 4 ? 4 : 16) ? [bytes] : [];
  });
}
