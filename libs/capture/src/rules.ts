import { familyOf } from "./cidr.ts";
import type { CaptureOptions } from "./options.ts";

/** Everything of ours in the kernel is in chains with this prefix, which is Istio's, so that either finds and replaces the other's. */
const OURS = "ISTIO_";
const CHAINS = ["ISTIO_PREROUTING", "ISTIO_INBOUND", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", "ISTIO_REDIRECT"] as const;

/** What differs between the two families. */
interface Family {
  readonly version: 4 | 6;
  readonly loopback: string;
  /** Source of the proxy's connections to the application, which must not be captured again. */
  readonly inboundSource: string;
}
const FAMILIES: Readonly<Record<4 | 6, Family>> = {
  4: { version: 4, loopback: "127.0.0.1/32", inboundSource: "127.0.0.6/32" },
  6: { version: 6, loopback: "::1/128", inboundSource: "::6/128" },
};

/**
 * The rules of table `nat` that carry a pod's TCP to its proxy and, if wanted, its DNS to the DNS proxy: lines as `iptables-save`
 * writes them, without table name and `COMMIT`. A pure function; {@link withCapture} makes a whole table of them.
 *
 * Inbound: what comes to the pod goes to the inbound port. Outbound: what leaves goes to the outbound port, except what the proxy
 * itself sends (by user and group), what stays on loopback, and what is excluded. The proxy's connections to the pod's own address are
 * inbound traffic.
 */
export function captureRules(version: 4 | 6, options: CaptureOptions): readonly string[] {
  const family = FAMILIES[version];
  return [
    ...CHAINS.map((chain) => `:${chain} - [0:0]`),
    "-A PREROUTING -j ISTIO_PREROUTING",
    "-A OUTPUT -j ISTIO_OUTPUT",
    `-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports ${options.outboundPort}`,
    `-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports ${options.inboundPort}`,
    ...prerouting(family, options),
    ...inbound(options),
    ...outbound(family, options),
  ];
}

/** What arrives: nothing of excluded interfaces; what virtual machines send is outbound; the rest is inbound. */
function prerouting(family: Family, options: CaptureOptions): readonly string[] {
  const chain = "-A ISTIO_PREROUTING";
  const wanted = options.includeInboundPorts === "*" || options.includeInboundPorts.length > 0;
  return [
    ...options.excludeInterfaces.map((name) => `${chain} -i ${name} -j RETURN`),
    ...options.virtualInterfaces.flatMap((name) => [
      ...ranges(options.includeOutboundRanges, family).map((to) => `${chain}${to} -i ${name} -j ISTIO_REDIRECT`),
      `${chain} -i ${name} -j RETURN`,
    ]),
    ...(wanted ? [`${chain} -p tcp -j ISTIO_INBOUND`] : []),
  ];
}

function inbound({ includeInboundPorts, excludeInboundPorts }: CaptureOptions): readonly string[] {
  const chain = "-A ISTIO_INBOUND";
  if (includeInboundPorts !== "*") {
    return includeInboundPorts.map((port) => `${chain} -p tcp --dport ${port} -j ISTIO_IN_REDIRECT`);
  }
  return [
    ...excludeInboundPorts.map((port) => `${chain} -p tcp --dport ${port} -j RETURN`),
    `${chain} -p tcp -j ISTIO_IN_REDIRECT`,
  ];
}

/** What leaves; the first rule that fits decides. */
function outbound(family: Family, options: CaptureOptions): readonly string[] {
  const { loopback, inboundSource } = family;
  const chain = "-A ISTIO_OUTPUT";
  const excluded = options.excludeOutboundRanges.filter((range) => familyOf(range) === family.version);
  return [
    ...options.excludeInterfaces.map((name) => `${chain} -o ${name} -j RETURN`),
    ...options.excludeOutboundPorts.map((port) => `${chain} -p tcp --dport ${port} -j RETURN`),
    `${chain} -s ${inboundSource} -o lo -j RETURN`,
    ...byOwner(loopback, options),
    ...dns(family, options),
    `${chain} -d ${loopback} -j RETURN`,
    ...excluded.map((range) => `${chain} -d ${range} -j RETURN`),
    ...ports(options.includeOutboundPorts).map((port) => `${chain} -p tcp${port} -j ISTIO_REDIRECT`),
    ...ranges(options.includeOutboundRanges, family).map((to) => `${chain}${to} -j ISTIO_REDIRECT`),
  ];
}

/**
 * The proxy to the pod's own address: inbound traffic, for policy applies to it. The proxy to anywhere else: let go. Anybody else over
 * loopback: let go, except to a DNS server there.
 */
function byOwner(loopback: string, { proxyId, dns: dnsMode }: CaptureOptions): readonly string[] {
  const chain = "-A ISTIO_OUTPUT";
  const owners = [`--uid-owner ${proxyId}`, `--gid-owner ${proxyId}`];
  const isDns = dnsMode !== "off";
  const direct = isDns ? "-m multiport ! --dports 53,15008" : "! --dport 15008";
  return [
    ...owners.map((owner) => `${chain} ! -d ${loopback} -o lo -p tcp ${direct} -m owner ${owner} -j ISTIO_IN_REDIRECT`),
    ...owners.map((owner) => `${chain} -m owner ${owner} -j RETURN`),
    `${chain} -o lo -p tcp${isDns ? " ! --dport 53" : ""} -j RETURN`,
  ];
}

/** Queries to the servers in question go to the DNS proxy. */
function dns({ version }: Family, { dns: mode, dnsPort }: CaptureOptions): readonly string[] {
  if (mode === "off") return [];
  const servers =
    mode === "all"
      ? [""]
      : mode.servers.filter((server) => familyOf(server) === version).map((server) => ` -d ${server}`);
  return servers.flatMap((to) =>
    ["udp", "tcp"].map(
      (protocol) => `-A ISTIO_OUTPUT${to} -p ${protocol} --dport 53 -j REDIRECT --to-ports ${dnsPort}`,
    ),
  );
}

/** Matches for destination ranges of the family; one that matches all for `*`. */
function ranges(selection: CaptureOptions["includeOutboundRanges"], { version }: Family): readonly string[] {
  if (selection === "*") return [""];
  return selection.filter((range) => familyOf(range) === version).map((range) => ` -d ${range}`);
}

function ports(selection: CaptureOptions["includeOutboundPorts"]): readonly string[] {
  return selection === "*" ? [""] : selection.map((port) => ` --dport ${port}`);
}

/**
 * The whole table `nat` with capture in it, for one atomic `iptables-restore`: what others put there stays, what was ours is
 * replaced.
 * @param saved output of `iptables-save -t nat`; may be empty.
 */
export function withCapture(saved: string, rules: readonly string[]): string {
  const foreign = saved.split("\n").filter((line) => /^[:-]/.test(line) && !line.includes(OURS));
  const isChain = (line: string): boolean => line.startsWith(":");
  const all = [...foreign, ...rules];
  return ["*nat", ...all.filter(isChain), ...all.filter((line) => !isChain(line)), "COMMIT", ""].join("\n");
}

/** The whole table `nat` without anything of ours. */
export function withoutCapture(saved: string): string {
  return withCapture(saved, []);
}
