import { keyOf, networkOfAddress, type Resource } from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { sameJson } from "../resource.ts";
import { cells } from "./mesh-snapshot.ts";
import { meshConfigOf, settingsOf } from "./services.ts";

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
 * Gateways by network: the addresses, as seen from outside, of Services that carry a network's label or that `meshNetworks` names, and
 * addresses that it has itself. Host names are left out, for endpoints that come by EDS are addresses; see {@link namedGateways}.
 */
export const networkGateways = defineQuery<"", Readonly<Record<string, readonly NetworkGateway[]>>>({
  name: "networkGateways",
  compute: (read) => {
    // A network may be called like what every object inherits.
    const found: Record<string, NetworkGateway[]> = Object.create(null);
    const add = (network: string, gateways: readonly NetworkGateway[]) => {
      if (gateways.length > 0) found[network] = [...(found[network] ?? []), ...gateways];
    };
    for (const service of labelledServices(read)) {
      const { labels } = service.metadata;
      const port = Number(labels?.[GATEWAY_PORT_LABEL] ?? GATEWAY_PORT);
      add(labels?.[NETWORK_LABEL] ?? "", outerAddresses(service, port));
    }
    for (const { name, gateways } of meshConfigOf(read).networks ?? []) {
      for (const gateway of gateways) {
        if (gateway.kind === "address") add(name, [{ address: gateway.address, port: gateway.port }]);
        else {
          const service = serviceOfHost(read, gateway.host);
          if (service !== undefined) add(name, outerAddresses(service, gateway.port));
        }
      }
    }
    return found;
  },
  equal: sameJson,
});

/** Services that carry a network's label; those that `meshNetworks` names are its own business. */
function labelledServices(read: Read): readonly Resource<"Service">[] {
  const services = (read.input(cells.networkServices) as readonly Resource<"Service">[] | undefined) ?? [];
  const named = new Set(namedServices(read));
  return services.filter((service) => !named.has(keyOf(service)));
}

/** Keys of the Services that `meshNetworks` names. */
function namedServices(read: Read): readonly string[] {
  const gateways = (meshConfigOf(read).networks ?? []).flatMap((network) => network.gateways);
  return gateways.flatMap((gateway) => (gateway.kind === "service" ? (serviceKey(read, gateway.host) ?? []) : []));
}

function serviceOfHost(read: Read, host: string): Resource<"Service"> | undefined {
  const key = serviceKey(read, host);
  return key === undefined ? undefined : (read.input(cells.object(key)) as Resource<"Service"> | undefined);
}

/** `name.namespace.svc.cluster.local` → `Service/namespace/name` */
function serviceKey(read: Read, host: string): string | undefined {
  const suffix = `.svc.${settingsOf(read).domain}`;
  const [name, namespace, ...rest] = host.endsWith(suffix) ? host.slice(0, -suffix.length).split(".") : [];
  return name && namespace && rest.length === 0 ? `Service/${namespace}/${name}` : undefined;
}

function outerAddresses({ spec, status }: Resource<"Service">, port: number): readonly NetworkGateway[] {
  const addresses = [...new Set([...loadBalancerAddresses(status), ...(spec.externalIPs ?? [])])].filter(isIp);
  return addresses.map((address) => ({ address, port }));
}

/** Gateways of networks that are known by host name alone, by the keys of their Services. */
export const namedGateways = defineQuery<"", readonly { readonly key: string; readonly names: readonly string[] }[]>({
  name: "namedGateways",
  compute: (read) => {
    const named = namedServices(read).flatMap((key) => (read.input(cells.object(key)) as Resource<"Service">) ?? []);
    return [...labelledServices(read), ...named].flatMap((service) => {
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

/** The network of what names none itself: that of the root namespace, else as `meshNetworks` says; empty: unknown. */
export function networkOf(read: Read, address: string): string {
  const { networks = [] } = meshConfigOf(read);
  const own = read.ask(ownNetwork, "");
  return own !== "" || networks.length === 0 ? own : read.ask(networkByAddress, address);
}

const networkByAddress = defineQuery<string, string>({
  name: "networkByAddress",
  compute: (read, address) => networkOfAddress(meshConfigOf(read).networks ?? [], address, settingsOf(read).clusterId),
});

/** Whether it matters in which network somebody is. */
export function hasNetworks(read: Pick<Read, "ask">): boolean {
  return Object.keys(read.ask(networkGateways, "")).length > 0;
}
