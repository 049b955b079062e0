import { badCidr } from "../errors.ts";

/** Four bytes of an IPv4 address (also when written as `::ffff:a.b.c.d`) or sixteen of an IPv6 one; undefined when it is neither. */
export function parseIp(text: string): Uint8Array | undefined {
  const bytes = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  if (bytes?.length !== 16) return bytes;
  for (let i = 0; i < 12; i++) if (bytes[i] !== (i < 10 ? 0 : 0xff)) return bytes;
  return bytes.subarray(12);
}

/** An address range; a bare address is a range of one. */
export interface Cidr {
  /** Prefix length in bits. */
  readonly length: number;
  contains(ip: Uint8Array | undefined): boolean;
}

/** @throws LateenError LTN5902 when the text is no range. */
export function compileCidr(text: string): Cidr {
  const slash = text.indexOf("/");
  const network = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (network === undefined) throw badCidr(text);
  const bits = network.length * 8;
  const lengthText = slash < 0 ? String(bits) : text.slice(slash + 1);
  const length = Number(lengthText);
  if (!/^\d{1,3}$/.test(lengthText) || length > bits) throw badCidr(text);
  const whole = length >> 3;
  const rest = length & 7;
  const mask = (0xff << (8 - rest)) & 0xff;
  return {
    length,
    contains(ip) {
      if (ip === undefined || ip.length !== network.length) return false;
      for (let i = 0; i < whole; i++) if (ip[i] !== network[i]) return false;
      return rest === 0 || ((ip[whole] ?? 0) & mask) === ((network[whole] ?? 0) & mask);
    },
  };
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i] ?? "";
    const value = Number(part);
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || value > 255) return undefined;
    bytes[i] = value;
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const zone = text.indexOf("%");
  const halves = (zone < 0 ? text : text.slice(0, zone)).split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [i, group] of groups.entries()) {
    if (mayEndInIpv4 && i === groups.length - 1 && group.includes(".")) {
      const ipv4 = parseIpv4(group);
      if (ipv4 === undefined) return undefined;
      bytes.push(...ipv4);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}
