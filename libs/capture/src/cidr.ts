import { isIP } from "node:net";

/** Whether a text is an address range (`10.0.0.0/8`) or a single address. */
export function isCidr(text: string): boolean {
  const [address = "", bits, rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest !== undefined) return false;
  if (bits === undefined) return true;
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

/** 4 or 6. */
export function familyOf(cidr: string): 4 | 6 {
  return cidr.includes(":") ? 6 : 4;
}
