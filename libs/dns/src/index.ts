export { type DnsCounts, DnsProxy, type DnsProxyOptions } from "./dns-proxy.ts";
export type { NameRecords, NameRules } from "./names.ts";
export { parseServer, systemServers } from "./resolv-conf.ts";
export type { DnsServer } from "./upstream.ts";
