import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import type { DnsServer } from "./upstream.ts";

const DNS_PORT = 53;
/** As resolvers do. */
const MOST_SERVERS = 3;

/** The name servers of a resolver configuration; none when the file cannot be read. */
export async function systemServers(file = "/etc/resolv.conf"): Promise<readonly DnsServer[]> {
  try {
    return parseServers(await readFile(file, "utf8"));
  } catch {
    return [];
  }
}

/** `address`, `address:port` or `[address]:port`; undefined when it is none of them. */
export function parseServer(text: string): DnsServer | undefined {
  if (isIP(text) !== 0) return { address: text, port: DNS_PORT };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  const port = Number(digits);
  return isIP(address) !== 0 && port > 0 && port < 65_536 ? { address, port } : undefined;
}

/** `nameserver` lines of a `resolv.conf`. @see resolv.conf(5) */
export function parseServers(text: string): readonly DnsServer[] {
  const found = text.split("\n").flatMap((line) => {
    const [keyword, address = ""] = line.trim().split(/\s+/);
    return keyword === "nameserver" && isIP(address) !== 0 ? [{ address, port: DNS_PORT }] : [];
  });
  return found.slice(0, MOST_SERVERS);
}
