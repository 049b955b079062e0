/** Whether the text is an IPv4 address in dotted form. */
export function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

/** Whether the text is an IPv6 address (RFC 4291 §2.2), without zone. */
export function isIpv6(text: string): boolean {
  if (text.length > 45 || !text.includes(":")) return false;
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (const half of halves) {
    if (half === "") continue;
    const parts = half.split(":");
    for (const [index, part] of parts.entries()) {
      const last = half === halves.at(-1) && index === parts.length - 1;
      if (last && part.includes(".")) {
        if (!isIpv4(part)) return false;
        groups += 2;
      } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups++;
      else return false;
    }
  }
  return halves.length === 2 ? groups < 8 : groups === 8;
}

export function isIp(text: string): boolean {
  return isIpv4(text) || isIpv6(text);
}

/** `address/bits` */
export function isCidr(text: string): boolean {
  const slash = text.indexOf("/");
  if (slash < 0) return false;
  const address = text.slice(0, slash);
  const bits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(bits)) return false;
  return isIpv4(address) ? Number(bits) <= 32 : isIpv6(address) && Number(bits) <= 128;
}

/** Whether an address is in a range, both as they are written; false when one of them is none. */
export function isInCidr(address: string, range: string): boolean {
  if (!isCidr(range) || !isIp(address)) return false;
  const slash = range.indexOf("/");
  const [base, bits] = [range.slice(0, slash), Number(range.slice(slash + 1))];
  if (isIpv4(base) !== isIpv4(address)) return false;
  const rest = BigInt((isIpv4(base) ? 32 : 128) - bits);
  return numberOf(base) >> rest === numberOf(address) >> rest;
}

/** A valid address as a number. */
function numberOf(address: string): bigint {
  if (isIpv4(address)) return address.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [front = [], back = []] = address.split("::").map(groupsOf);
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => 0n);
  return [...front, ...zeros, ...back].reduce((sum, group) => sum * 65_536n + group, 0n);
}

function groupsOf(half: string): readonly bigint[] {
  if (half === "") return [];
  return half.split(":").flatMap((part) => {
    if (!part.includes(".")) return [BigInt(`0x${part}`)];
    const low = numberOf(part);
    return [low >> 16n, low & 0xffffn];
  });
}

export function isIpOrCidr(text: string): boolean {
  return isIp(text) || isCidr(text);
}
