import { err, ok, type Result } from "@lateen/kernel";
import { isCidr } from "./cidr.ts";

/** A list of things, or all there are. */
export type Selection<T> = "*" | readonly T[];

/** What of a pod's traffic goes through its proxy. The defaults are Istio's. */
export interface CaptureOptions {
  /** Inbound TCP ports. Default all. */
  readonly includeInboundPorts: Selection<number>;
  /** Not inbound, besides the proxy's own; only counts when all are included. */
  readonly excludeInboundPorts: readonly number[];
  /** Outbound ports that are captured whatever the address. Default none. */
  readonly includeOutboundPorts: Selection<number>;
  readonly excludeOutboundPorts: readonly number[];
  /** Outbound destinations, as CIDR. Default all. */
  readonly includeOutboundRanges: Selection<string>;
  /** Win over the included ones. */
  readonly excludeOutboundRanges: readonly string[];
  /** Interfaces whose traffic is left alone, both ways. */
  readonly excludeInterfaces: readonly string[];
  /** Interfaces of virtual machines: what comes in there is outbound traffic. */
  readonly virtualInterfaces: readonly string[];
  /** The proxy's user and group, whose own connections are not captured. */
  readonly proxyId: number;
  readonly outboundPort: number;
  readonly inboundPort: number;
  /** Which queries go to the DNS proxy: none, all, or those to certain servers. */
  readonly dns: "off" | "all" | { readonly servers: readonly string[] };
  readonly dnsPort: number;
}

/** Ports of the proxy and its agent, and the tunnel port: captured, they could not be reached. SSH is left alone as well. */
const OWN_INBOUND_PORTS = [22, 15_008, 15_020, 15_021, 15_090];

/** Istio's defaults, with the DNS proxy off. */
export const defaultCapture: CaptureOptions = {
  includeInboundPorts: "*",
  excludeInboundPorts: OWN_INBOUND_PORTS,
  includeOutboundPorts: [],
  excludeOutboundPorts: [],
  includeOutboundRanges: "*",
  excludeOutboundRanges: [],
  excludeInterfaces: [],
  virtualInterfaces: [],
  proxyId: 1337,
  outboundPort: 15_001,
  inboundPort: 15_006,
  dns: "off",
  dnsPort: 15_053,
};

const PREFIX = "traffic.sidecar.istio.io/";

/**
 * Options as a pod's annotations change them: `traffic.sidecar.istio.io/{include,exclude}{Inbound,Outbound}Ports`,
 * `…/{include,exclude}OutboundIPRanges`, `…/excludeInterfaces`, `…/kubevirtInterfaces`, `istio.io/reroute-virtual-interfaces`.
 * @returns all bad values at once.
 */
export function captureOptions(
  annotations: Readonly<Record<string, string>>,
  base: CaptureOptions = defaultCapture,
): Result<CaptureOptions, readonly string[]> {
  const read = new Annotations(annotations);
  const options: CaptureOptions = {
    ...base,
    includeInboundPorts: read.selection("includeInboundPorts", read.port) ?? base.includeInboundPorts,
    excludeInboundPorts: [
      ...new Set([...base.excludeInboundPorts, ...(read.list("excludeInboundPorts", read.port) ?? [])]),
    ],
    includeOutboundPorts: read.selection("includeOutboundPorts", read.port) ?? base.includeOutboundPorts,
    excludeOutboundPorts: read.list("excludeOutboundPorts", read.port) ?? base.excludeOutboundPorts,
    includeOutboundRanges: read.selection("includeOutboundIPRanges", read.range) ?? base.includeOutboundRanges,
    excludeOutboundRanges: read.list("excludeOutboundIPRanges", read.range) ?? base.excludeOutboundRanges,
    excludeInterfaces: read.list("excludeInterfaces", read.interface) ?? base.excludeInterfaces,
    virtualInterfaces:
      read.list("istio.io/reroute-virtual-interfaces", read.interface) ??
      read.list("kubevirtInterfaces", read.interface) ??
      base.virtualInterfaces,
  };
  return read.problems.length > 0 ? err(read.problems) : ok(options);
}

/** Readers of comma-separated lists that collect what is wrong. */
class Annotations {
  readonly problems: string[] = [];
  readonly #values: Readonly<Record<string, string>>;

  constructor(values: Readonly<Record<string, string>>) {
    this.#values = values;
  }

  selection<T>(name: string, parse: (text: string) => T | undefined): Selection<T> | undefined {
    return this.#text(name) === "*" ? "*" : this.list(name, parse);
  }

  /** An annotation that is there and empty is an empty list. */
  list<T>(name: string, parse: (text: string) => T | undefined): readonly T[] | undefined {
    const words = this.#text(name)
      ?.split(",")
      .map((word) => word.trim())
      .filter((word) => word !== "");
    return words?.flatMap((word) => {
      const value = parse(word);
      if (value !== undefined) return [value];
      this.problems.push(`${keyOf(name)}: "${word}" cannot be used`);
      return [];
    });
  }

  readonly port = (text: string): number | undefined => {
    const port = Number(text);
    return /^\d+$/.test(text) && port > 0 && port < 65_536 ? port : undefined;
  };
  readonly range = (text: string): string | undefined => (isCidr(text) ? text : undefined);
  /** As Linux allows them; a trailing `+` stands for any ending. */
  readonly interface = (text: string): string | undefined =>
    /^[A-Za-z0-9_.@-]{1,15}\+?$/.test(text) ? text : undefined;

  #text(name: string): string | undefined {
    return this.#values[keyOf(name)]?.trim();
  }
}

function keyOf(name: string): string {
  return name.includes("/") ? name : `${PREFIX}${name}`;
}
