import { DnsProxy, type NameRecords, systemServers } from "@lateen/dns";
import type { Scope } from "@lateen/kernel";
import type { AgentParts } from "./parts.ts";

const LOOPBACK = ["127.0.0.1", "::1"] as const;
const NO_NAMES: NameRecords = {};

/** Opens the DNS proxy where it is wanted. The names are those of the plan, as the data path resolves them. */
export async function openDns(scope: Scope, { config, deps, state }: AgentParts): Promise<DnsProxy | undefined> {
  const { dns, facts } = config;
  if (dns === undefined) return undefined;
  const { clock, random, logger } = deps;
  const service = `svc.${facts.domain}`;
  return await DnsProxy.start(scope, {
    addresses: LOOPBACK,
    port: dns.port,
    records: () => state.names() ?? NO_NAMES,
    rules: { search: [`${facts.namespace}.${service}`, service, facts.domain], zone: dns.zone },
    servers: dns.servers.length > 0 ? dns.servers : await systemServers(),
    ...{ clock, random, logger },
  });
}
