import type { MeshService } from "./types.ts";

/** Addresses that no host has: clients reach services without one by them, when their proxy answers DNS. */
export const AUTO_ADDRESS_CIDR = "240.240.0.0/16";
const SIZE = 65_534;
const OPT_OUT = "networking.istio.io/enable-autoallocate-ip";

/**
 * Whether a service gets an address of its own: an entry without one. Programs whose connections are captured then find its name, and
 * hosts of opaque ports can be told apart. Entries of resolution NONE keep the addresses their clients use.
 */
export function needsAutoAddress(service: MeshService): boolean {
  return (
    service.registry === "External" &&
    service.addresses.length === 0 &&
    service.resolution !== "passthrough" &&
    service.resolution !== "dynamicDns" &&
    !service.host.startsWith("*") &&
    service.labels[OPT_OUT] !== "false"
  );
}

/**
 * Gives every such service its address: a hash of namespace and host in 240.240.0.0/16, the next free one when that is taken. The
 * oldest chooses first, so that what is added later moves nobody.
 * @param services oldest first.
 * @returns addresses by `namespace/host`.
 */
export function autoAddresses(services: readonly MeshService[]): ReadonlyMap<string, string> {
  const taken = new Set<number>();
  const addresses = new Map<string, string>();
  for (const service of services) {
    if (!needsAutoAddress(service) || taken.size >= SIZE) continue;
    const key = autoAddressKey(service);
    let offset = hash(key) % SIZE;
    while (taken.has(offset)) offset = (offset + 1) % SIZE;
    taken.add(offset);
    addresses.set(key, `240.240.${(offset + 1) >>> 8}.${(offset + 1) & 255}`);
  }
  return addresses;
}

/** Key of {@link autoAddresses}. */
export function autoAddressKey(service: Pick<MeshService, "namespace" | "host">): string {
  return `${service.namespace}/${service.host}`;
}

function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
