import { isIP } from "node:net";
import type { ListenerSpec } from "../config/plan.ts";
import { Backlog } from "../io/backlog.ts";
import type { Connection, ConnectionHandler } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { Route4 } from "./listener.ts";

/** The start of a connection that a load balancer made for somebody else. */
export type ProxyHeader =
  | { readonly kind: "incomplete" }
  /** The connection does not begin with one. */
  | { readonly kind: "absent" }
  | { readonly kind: "bad" }
  | {
      readonly kind: "header";
      readonly version: 1 | 2;
      /** Bytes of it. */
      readonly length: number;
      /** Undefined: the balancer speaks for itself, or does not know. */
      readonly route: Route4 | undefined;
    };

const V1_START = Buffer.from("PROXY ");
const V1_LONGEST = 107;
const V2_START = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const V2_HEAD_BYTES = 16;
const INCOMPLETE: ProxyHeader = { kind: "incomplete" };
const BAD: ProxyHeader = { kind: "bad" };

/** Reads a PROXY protocol header, version 1 or 2. Never throws. @see https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsLike(bytes, V2_START)) return bytes.length < V2_HEAD_BYTES ? INCOMPLETE : parseBinary(bytes);
  if (startsLike(bytes, V1_START)) return parseText(bytes);
  return { kind: "absent" };
}

function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

function parseText(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_LONGEST).indexOf("\r\n");
  if (end < 0) return bytes.length >= V1_LONGEST ? BAD : INCOMPLETE;
  const words = bytes.toString("latin1", 0, end).split(" ");
  const [, family, source = "", destination = "", sourcePort = "", destinationPort = "", extra] = words;
  const header = { kind: "header", version: 1, length: end + 2 } as const;
  if (family === "UNKNOWN") return { ...header, route: undefined };
  const wanted = family === "TCP4" ? 4 : family === "TCP6" ? 6 : 0;
  if (wanted === 0 || extra !== undefined || isIP(source) !== wanted || isIP(destination) !== wanted) return BAD;
  const ports = [sourcePort, destinationPort].map((text) => (/^(0|[1-9]\d{0,4})$/.test(text) ? Number(text) : -1));
  const [from = -1, to = -1] = ports;
  if (ports.some((port) => port < 0 || port > 65_535)) return BAD;
  return { ...header, route: routeOf(source, from, destination, to) };
}

function parseBinary(bytes: Buffer): ProxyHeader {
  const versionAndCommand = bytes[12] ?? 0;
  const command = versionAndCommand & 0xf;
  if (versionAndCommand >> 4 !== 2 || command > 1) return BAD;
  const size = bytes.readUInt16BE(14);
  const length = V2_HEAD_BYTES + size;
  if (bytes.length < length) return INCOMPLETE;
  const header = { kind: "header", version: 2, length } as const;
  if (command === 0) return { ...header, route: undefined };
  switch (bytes[13]) {
    case 0x00:
      return { ...header, route: undefined };
    case 0x11:
      return size < 12 ? BAD : { ...header, route: addresses(bytes, 4) };
    case 0x21:
      return size < 36 ? BAD : { ...header, route: addresses(bytes, 16) };
    default:
      // Datagrams and unix sockets are not what comes in over TCP.
      return BAD;
  }
}

function addresses(bytes: Buffer, size: 4 | 16): Route4 {
  const text = (at: number): string => {
    const part = bytes.subarray(at, at + size);
    if (size === 4) return [...part].join(".");
    return Array.from({ length: 8 }, (_, index) => part.readUInt16BE(index * 2).toString(16)).join(":");
  };
  const ports = V2_HEAD_BYTES + 2 * size;
  return routeOf(
    text(V2_HEAD_BYTES),
    bytes.readUInt16BE(ports),
    text(V2_HEAD_BYTES + size),
    bytes.readUInt16BE(ports + 2),
  );
}

function routeOf(
  sourceAddress: string,
  sourcePort: number,
  destinationAddress: string,
  destinationPort: number,
): Route4 {
  return { sourceAddress, sourcePort, destinationAddress, destinationPort };
}

/** What a listener does about headers. @see envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol */
type Wanted = NonNullable<ListenerSpec["proxyProtocol"]>;

/**
 * Takes the header off a fresh connection and tells where it really comes from and goes to. A connection without one, where it must have
 * one, with a bad one, or too slow, is closed. The bytes behind the header belong to whoever `done` makes the connection's handler.
 */
export class ProxyHeaderReader implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #wanted: Wanted;
  readonly #done: (route: Route4 | undefined) => void;
  readonly #timer: WheelTimer;
  #bytes: Buffer = Buffer.alloc(0);
  readonly #backlog = new Backlog();

  /** @param timeoutMs 0 = for ever. */
  constructor(connection: Connection, wanted: Wanted, timeoutMs: number, done: (route: Route4 | undefined) => void) {
    this.#connection = connection;
    this.#wanted = wanted;
    this.#done = done;
    this.#timer = connection.io.wheel.timer(() => connection.destroy());
    connection.handler = this;
    if (timeoutMs > 0) this.#timer.arm(timeoutMs);
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.#bytes = this.#backlog.join(this.#bytes, bytes, start, end);
    const header = parseProxyHeader(this.#bytes);
    if (header.kind === "incomplete") return;
    if (header.kind === "header" && !this.#wanted.refusedVersions.includes(header.version)) {
      this.#goOn(header.route, this.#bytes.subarray(header.length));
    } else if (header.kind === "absent" && this.#wanted.optional) this.#goOn(undefined, this.#bytes);
    else this.#connection.destroy();
  }

  onEnd(): void {
    this.#connection.destroy();
  }
  onDrain(): void {}
  onClose(): void {
    this.#timer.cancel();
  }

  #goOn(route: Route4 | undefined, rest: Buffer): void {
    this.#timer.cancel();
    this.#done(route);
    if (rest.length > 0) this.#connection.replay(rest);
  }
}
