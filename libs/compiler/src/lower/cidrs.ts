/**
 * The range as Envoy tells ranges apart: without the bits behind the prefix, so that `10.1.2.3/8` is `10.0.0.0/8`. A plain address is the
 * range of itself. What is neither comes back as it is.
 */
export function network(text: string): string {
  const [address = "", length] = text.split("/");
  const groups = address.includes(":") ? ipv6Groups(address) : address.split(".").map(Number);
  const bits = address.includes(":") ? 16 : 8;
  const total = groups.length * bits;
  const prefix = length === undefined ? total : Number(length);
  if (groups.some(Number.isNaN) || !(prefix <= total)) return text;
  const kept = groups.map((group, index) => {
    const free = Math.min(bits, Math.max(0, (index + 1) * bits - prefix));
    return (group >>> free) << free;
  });
  return `${kept.map((group) => group.toString(bits === 16 ? 16 : 10)).join(bits === 16 ? ":" : ".")}/${prefix}`;
}

function ipv6Groups(address: string): readonly number[] {
  const [front = [], back] = address.split("::").map((half) => (half === "" ? [] : half.split(":").flatMap(ipv6Part)));
  if (back === undefined) return front;
  return [...front, ...Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => 0), ...back];
}

/** The last part may be an IPv4 address. */
function ipv6Part(part: string): readonly number[] {
  if (!part.includes(".")) return [Number.parseInt(part, 16)];
  const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
  return [a * 256 + b, c * 256 + d];
}

/** Ranges that are not in `taken` yet, each once; they are then. */
export function freshNetworks(ranges: readonly string[], taken: Set<string>): readonly string[] {
  return ranges.filter((range) => {
    const key = network(range);
    if (taken.has(key)) return false;
    taken.add(key);
    return true;
  });
}
