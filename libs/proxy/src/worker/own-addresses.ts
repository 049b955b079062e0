import { compileCidr, parseIp } from "@lateen/traffic";
import type { ClusterSpec } from "../config/plan.ts";
import type { CaptureSpec } from "./protocol.ts";
import type { SocketUse } from "./sockets.ts";

/** Whether a socket of this worker has the address. */
export type IsOwn = (address: string, port: number, counts: (use: SocketUse) => boolean) => boolean;

/** An address a connection was sent to. */
interface Sent {
  readonly address: string;
  readonly port: number;
}

/** Where an original destination is dialled; undefined: nowhere. */
export type MapDestination = (
  sent: Sent,
  direction: ClusterSpec["direction"],
) => { readonly host: string; readonly port: number } | undefined;

/**
 * Inbound, an original destination is the application behind the container port. A destination that would come back to this proxy is
 * refused, or one request would go round for ever; so is one at which nothing can be.
 */
export function destinationMapper(capture: CaptureSpec, isOwn: IsOwn): MapDestination {
  const virtual = capture.mode === "none" ? [] : (capture.virtualRanges ?? []).map(compileCidr);
  return (sent, direction) => {
    const { address, port } = sent;
    if (address === "" || address === "0.0.0.0" || address === "::") return undefined;
    if (direction === "inbound" && capture.mode !== "none") {
      const application = capture.inbound.find(({ containerPort }) => containerPort === port);
      if (!isPodAddress(capture, address)) return undefined;
      if (application !== undefined) return { host: application.appAddress, port: application.appPort };
      if (capture.mode === "proxy-env") return undefined;
    }
    // An outbound call to one's own container port is an ordinary inbound call: policy applies to it.
    const loops = (use: SocketUse): boolean => direction === "inbound" || use.kind !== "inbound";
    if (isOwn(address, port, loops)) return undefined;
    const bytes = virtual.length > 0 ? parseIp(address) : undefined;
    return virtual.some((range) => range.contains(bytes)) ? undefined : { host: address, port };
  };
}

function isPodAddress(capture: Exclude<CaptureSpec, { mode: "none" }>, address: string): boolean {
  if (capture.mode === "proxy-env") return address === capture.address;
  return capture.addresses.length === 0 || capture.addresses.includes(address);
}

/** Sources of connections to the application: the kernel must not take them for the proxy's own calls to its pod. */
const INBOUND_SOURCES = ["127.0.0.6", "::6"] as const;

/** The local addresses that connections of a cluster come from, whatever it says itself. */
export function captureSources(capture: CaptureSpec, direction: ClusterSpec["direction"]): readonly string[] {
  return capture.mode === "kernel" && direction === "inbound" ? INBOUND_SOURCES : [];
}
