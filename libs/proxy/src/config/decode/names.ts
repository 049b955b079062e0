import type { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";

/**
 * Every spelling this workload may use, lower case, to addresses: the host itself, its alternative hosts, and for services of
 * the cluster the shorter forms a resolver's search list would allow (`name` only inside `namespace`).
 * @see istio.networking.nds.v1.NameTable
 */
export function nameTable(table: NameTable, namespace: string): Readonly<Record<string, readonly string[]>> {
  const names = new Map<string, readonly string[]>();
  const short = new Map<string, readonly string[]>();
  for (const [host, info] of Object.entries(table.table)) {
    for (const name of [host, ...info.altHosts]) names.set(name.toLowerCase(), info.ips);
    if (info.registry !== "Kubernetes" || info.shortname === "") continue;
    const base = `${info.shortname}.${info.namespace}`.toLowerCase();
    short.set(base, info.ips);
    short.set(`${base}.svc`, info.ips);
    if (info.namespace === namespace) short.set(info.shortname.toLowerCase(), info.ips);
  }
  // A host that is really called like a short form keeps its own addresses.
  return Object.fromEntries([...short, ...names]);
}
