import { keyOf, type Resource } from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { sameJson } from "../resource.ts";
import { cells } from "./mesh-snapshot.ts";
import { meshConfigOf } from "./services.ts";

/** Label of pods, entries, gateway Services and the root namespace with the network they are in. */
const NETWORK_LABEL = "topology.istio.io/network";
/** Label with the port that a network's gateway takes mesh traffic at. */
const GATEWAY_PORT_LABEL = "networking.istio.io/gatewayPort";
const GATEWAY_PORT = 15443;

/** Where mesh traffic enters a network. */
export interface NetworkGateway {
  readonly address: string;
  readonly port: number;
}

/**
 * Gateways by network: the addresses, as seen from outside, of Services that carry a network's label. Host names are left out, for
 * endpoints that come by EDS are addresses; see {@link namedGateways}.
 */
export const networkGateways = defineQuery<"", Readonly<Record<string, readonly NetworkGateway[]>>>({
  name: "networkGateways",
  compute: (read) => {
    const services = (read.input(cells.networkServices) as readonly Resource<"Service">[] | undefined) ?? [];
    const found: Record<string, NetworkGateway[]> = {};
    for (const { metadata, spec, status } of services) {
      const network = metadata.labels?.[NETWORK_LABEL] ?? "";
      const port = Number(metadata.labels?.[GATEWAY_PORT_LABEL] ?? GATEWAY_PORT);
      const addresses = [...new Set([...loadBalancerAddresses(status), ...(spec.externalIPs ?? [])])].filter(isIp);
      if (addresses.length > 0)
        found[network] = [...(found[network] ?? []), ...addresses.map((address) => ({ address, port }))];
    }
    return found;
  },
  equal: sameJson,
});

/** Gateways of networks that are known by host name alone, by the keys of their Services. */
export const namedGateways = defineQuery<"", readonly { readonly key: string; readonly names: readonly string[] }[]>({
  name: "namedGateways",
  compute: (read) => {
    const services = (read.input(cells.networkServices) as readonly Resource<"Service">[] | undefined) ?? [];
    return services.flatMap((service) => {
      const names = loadBalancerAddresses(service.status).filter((address) => !isIp(address));
      return names.length === 0 ? [] : [{ key: keyOf(service), names }];
    });
  },
  equal: sameJson,
});

const isIp = (text: string): boolean => /^\d+(\.\d+){3}$/.test(text) || text.includes(":");

function loadBalancerAddresses(status: unknown): readonly string[] {
  const { loadBalancer } = asRecord(status);
  const { ingress } = asRecord(loadBalancer);
  const entries = Array.isArray(ingress) ? ingress.map(asRecord) : [];
  return entries.flatMap(({ ip, hostname }) => {
    const address = typeof ip === "string" && ip !== "" ? ip : hostname;
    return typeof address === "string" && address !== "" ? [address] : [];
  });
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** The network of workloads that name none: that of the root namespace; empty: the mesh has one network. */
export const ownNetwork = defineQuery<"", string>({
  name: "ownNetwork",
  compute: (read) => {
    const key = `Namespace//${meshConfigOf(read).rootNamespace}`;
    const namespace = read.input(cells.object(key)) as Resource<"Namespace"> | undefined;
    return namespace?.metadata.labels?.[NETWORK_LABEL] ?? "";
  },
});

/** Whether it matters in which network somebody is. */
export function hasNetworks(read: Pick<Read, "ask">): boolean {
  return Object.keys(read.ask(networkGateways, "")).length > 0;
}
