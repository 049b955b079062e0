import { isIPv6 } from "node:net";
import type { Route4 } from "../listener/listener.ts";

const V2_SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
/** Version 2, command LOCAL, no addresses: the proxy speaks for itself. */
const V2_LOCAL = Buffer.concat([V2_SIGNATURE, Buffer.from([0x20, 0, 0, 0])]);
const V1_UNKNOWN = Buffer.from("PROXY UNKNOWN\r\n", "latin1");

/**
 * The PROXY protocol header for a connection on behalf of a client, or of nobody (`for` undefined): then version 1 tells the
 * connection's own addresses and version 2 says that there is no client, as Envoy's do.
 * @see https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt
 */
export function proxyLine(version: 1 | 2, client: Route4 | undefined, own: Route4 | undefined): Buffer {
  if (version === 2) return client === undefined ? V2_LOCAL : binary(client);
  const route = client ?? own;
  return route === undefined ? V1_UNKNOWN : text(route);
}

function text(route: Route4): Buffer {
  const { sourceAddress: from, destinationAddress: to } = route;
  if (isIPv6(from) !== isIPv6(to)) return V1_UNKNOWN;
  const family = isIPv6(from) ? "TCP6" : "TCP4";
  return Buffer.from(`PROXY ${family} ${from} ${to} ${route.sourcePort} ${route.destinationPort}\r\n`, "latin1");
}

function binary(route: Route4): Buffer {
  const { sourceAddress: from, destinationAddress: to } = route;
  if (isIPv6(from) !== isIPv6(to)) return V2_LOCAL;
  const bytes = isIPv6(from) ? v6 : v4;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(route.sourcePort, 0);
  ports.writeUInt16BE(route.destinationPort, 2);
  const body = Buffer.concat([bytes(from), bytes(to), ports]);
  const head = Buffer.from([0x21, isIPv6(from) ? 0x21 : 0x11, 0, body.length]);
  return Buffer.concat([V2_SIGNATURE, head, body]);
}

function v4(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

function v6(address: string): Buffer {
  // A last part of the IPv4 kind is two words; a zone means nothing elsewhere.
  const plain = address.replace(/%.*$/, "").replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [left = "", right] = plain.split("::");
  const words = (part: string) => (part === "" ? [] : part.split(":"));
  const [head, tail] = [words(left), words(right ?? "")];
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  const all = Buffer.alloc(16);
  for (const [index, word] of [...head, ...zeros, ...tail].entries()) {
    all.writeUInt16BE(Number.parseInt(word, 16), index * 2);
  }
  return all;
}
