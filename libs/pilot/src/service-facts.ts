import { type MeshService, type Resource, serviceFromKubernetes, servicesFromServiceEntry } from "@lateen/mesh-model";

/** What the metrics say of services that get in each other's way. */
export interface ServiceFacts {
  /** Ports of hosts that several objects of one namespace declare. */
  readonly duplicateClusters: number;
  /** TCP ports of services whose listener an older service has: one address and port, or no address and one port. */
  readonly outboundTcpConflicts: number;
  /** Container ports that Services with one selector take for different protocols. */
  readonly inboundConflicts: number;
}

const BYTES: ReadonlySet<string> = new Set(["TCP", "Mongo", "Redis", "MySQL"]);

/** Compares all services with each other, by what they claim. */
export function serviceFacts(objects: Iterable<Resource>, domain: string): ServiceFacts {
  const clusters = new Claims();
  const listeners = new Claims();
  const inbound = new Claims();
  for (const object of objects) {
    if (object.kind !== "Service" && object.kind !== "ServiceEntry") continue;
    const services =
      object.kind === "Service" ? [serviceFromKubernetes(object, domain)] : servicesFromServiceEntry(object);
    for (const service of services) {
      for (const port of service.ports) {
        clusters.add(`${service.namespace} ${service.host} ${port.number}`, service.source);
        if (BYTES.has(port.protocol)) {
          for (const address of listened(service)) listeners.add(`${address} ${port.number}`, service.host);
        }
        if (object.kind === "Service" && service.selector !== undefined) {
          const selected = Object.entries(service.selector).map((entry) => entry.join("="));
          inbound.add(`${service.namespace} ${selected.sort().join()} ${port.targetPort}`, port.protocol);
        }
      }
    }
  }
  return {
    duplicateClusters: clusters.contested,
    outboundTcpConflicts: listeners.superfluous,
    inboundConflicts: inbound.contested,
  };
}

/** Where clients listen for a service; pods of a headless one have addresses of their own. */
function listened({ headless, addresses }: MeshService): readonly string[] {
  if (headless) return [];
  return addresses.length === 0 ? ["0.0.0.0"] : addresses;
}

/** Who claims what. */
class Claims {
  readonly #claimants = new Map<string, Set<string>>();

  add(what: string, who: string): void {
    const claimants = this.#claimants.get(what);
    if (claimants === undefined) this.#claimants.set(what, new Set([who]));
    else claimants.add(who);
  }

  /** What more than one claims. */
  get contested(): number {
    return [...this.#claimants.values()].filter(({ size }) => size > 1).length;
  }

  /** Those who come after the first, all together. */
  get superfluous(): number {
    return [...this.#claimants.values()].reduce((sum, { size }) => sum + size - 1, 0);
  }
}
