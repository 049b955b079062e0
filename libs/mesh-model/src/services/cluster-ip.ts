import { LateenError } from "@lateen/kernel";
import { codes } from "../errors.ts";

/** Kubernetes' usual service range. */
export const SERVICE_CIDR = "10.96.0.0/12";
const BASE = (10 * 256 + 96) * 65_536;
const SIZE = 2 ** 20;
/** The API server and the DNS service live at the start of the range; Kubernetes keeps this band for fixed addresses. */
const RESERVED = 256;

/**
 * The address a service gets when it has none: a hash of its key in 10.96.0.0/12, then the next free one. Equal keys get equal
 * addresses unless taken, so a mesh started anew looks the same.
 * @throws LateenError LTN1014 when no address is free.
 */
export function assignClusterIp(key: string, taken: ReadonlySet<string>): string {
  const room = SIZE - RESERVED - 1;
  const start = fnv1a(key) % room;
  for (let step = 0; step < room && step <= taken.size; step++) {
    const address = formatIpv4(BASE + RESERVED + ((start + step) % room));
    if (!taken.has(address)) return address;
  }
  throw new LateenError({
    code: codes.noFreeAddress,
    fault: "system",
    message: `no address is free in ${SERVICE_CIDR} for ${key}`,
    hint: "remove services that are not used",
  });
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}
