import { type DestinationRule, type Resource, shortHostToFqdn, type VirtualService } from "@lateen/mesh-model";

/** What the metrics say of the objects of a world. */
export interface WorldFacts {
  readonly services: number;
  readonly virtualServices: number;
  /** Pods that run and have no address. */
  readonly podsWithoutIp: number;
  /** Hosts that several virtual services of the mesh name. */
  readonly duplicateDomains: number;
  /** Subsets that several destination rules of one namespace define for one host. */
  readonly duplicateSubsets: number;
}

/** Counts in one walk over all objects. */
export function worldFacts(objects: Iterable<Resource>, domain: string): WorldFacts {
  let services = 0;
  let virtualServices = 0;
  let podsWithoutIp = 0;
  const domains = new Map<string, number>();
  const subsets = new Map<string, number>();
  for (const object of objects) {
    switch (object.kind) {
      case "Service":
      case "ServiceEntry":
        services++;
        break;
      case "VirtualService":
        virtualServices++;
        for (const host of meshHosts(object, domain)) domains.set(host, (domains.get(host) ?? 0) + 1);
        break;
      case "DestinationRule":
        for (const subset of subsetsOf(object, domain)) subsets.set(subset, (subsets.get(subset) ?? 0) + 1);
        break;
      case "Pod":
        if (isAddressless(object.status)) podsWithoutIp++;
        break;
      default:
    }
  }
  const several = (counts: ReadonlyMap<string, number>) => [...counts.values()].filter((count) => count > 1).length;
  return {
    services,
    virtualServices,
    podsWithoutIp,
    duplicateDomains: several(domains),
    duplicateSubsets: several(subsets),
  };
}

function isAddressless(status: unknown): boolean {
  if (typeof status !== "object" || status === null) return false;
  const { phase, podIP } = status as { readonly phase?: unknown; readonly podIP?: unknown };
  return phase === "Running" && !podIP;
}

function meshHosts({ metadata, spec }: VirtualService, domain: string): ReadonlySet<string> {
  const gateways = spec.gateways ?? [];
  if (gateways.length > 0 && !gateways.includes("mesh")) return new Set();
  return new Set((spec.hosts ?? []).map((host) => shortHostToFqdn(host, metadata.namespace, domain)));
}

function subsetsOf({ metadata, spec }: DestinationRule, domain: string): ReadonlySet<string> {
  const host = shortHostToFqdn(spec.host, metadata.namespace, domain);
  return new Set((spec.subsets ?? []).map(({ name }) => `${metadata.namespace} ${host} ${name}`));
}
