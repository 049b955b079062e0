import { noOriginalDestination } from "./errors.ts";

/** Where a redirected connection was sent to. */
export interface OriginalDestination {
  readonly address: string;
  readonly port: number;
}

/**
 * Asks the kernel for the destination a connection had before it was redirected.
 * @param fd descriptor of the accepted socket.
 * @param family of the connection; IPv4 also where it came in on an IPv6 socket.
 * @returns undefined when the kernel does not know; for a connection that was not redirected it may be the address it came in at.
 */
export type AskOriginalDestination = (fd: number, family: 4 | 6) => OriginalDestination | undefined;

const SOL_IP = 0;
const SOL_IPV6 = 41;
/** SO_ORIGINAL_DST, and IP6T_SO_ORIGINAL_DST, which has the same number. */
const SO_ORIGINAL_DST = 80;
const SOCKADDR_BYTES = 28;

/**
 * The kernel's answer through libc's `getsockopt`. One of two places that call native code; the other splices bodies.
 * @throws LTN6601 where there is no such thing: not Linux, or no koffi for this machine.
 */
export async function loadOriginalDestination(): Promise<AskOriginalDestination> {
  if (process.platform !== "linux") throw noOriginalDestination(`this is ${process.platform}`);
  try {
    const { default: koffi } = await import("koffi");
    const getsockopt = koffi
      .load(null)
      .func("int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)");
    const value = Buffer.alloc(SOCKADDR_BYTES);
    const length = new Uint32Array(1);
    return (fd, family) => {
      length[0] = SOCKADDR_BYTES;
      const status: unknown = getsockopt(fd, family === 4 ? SOL_IP : SOL_IPV6, SO_ORIGINAL_DST, value, length);
      return status === 0 ? parseSockaddr(value, family) : undefined;
    };
  } catch (error) {
    throw noOriginalDestination(error);
  }
}

/** A `sockaddr_in` or `sockaddr_in6`: family in host order, port and address in network order. */
export function parseSockaddr(value: Buffer, family: 4 | 6): OriginalDestination {
  const port = value.readUInt16BE(2);
  if (family === 4) return { address: [...value.subarray(4, 8)].join("."), port };
  const words = Array.from({ length: 8 }, (_, index) => value.readUInt16BE(8 + index * 2));
  return { address: shortened(words), port };
}

/** As RFC 5952 writes it: the longest run of zero words left out. */
function shortened(words: readonly number[]): string {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < words.length; start++) {
    let length = 0;
    while (words[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const text = (part: readonly number[]): string => part.map((word) => word.toString(16)).join(":");
  if (best.length < 2) return text(words);
  return `${text(words.slice(0, best.start))}::${text(words.slice(best.start + best.length))}`;
}
