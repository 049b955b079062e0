import type { ClusterSpec } from "../config/plan.ts";
import type { CaptureSpec } from "./protocol.ts";
import type { SocketUse } from "./sockets.ts";

/** Whether a socket of this worker has the address. */
export type IsOwn = (address: string, port: number, counts: (use: SocketUse) => boolean) => boolean;

/**
 * Where an original destination is dialled. Inbound it is the application behind the container port; a destination that would
 * come back to this proxy is refused, or one request would go round for ever.
 */
export function mapDestination(
  { address, port }: { readonly address: string; readonly port: number },
  direction: ClusterSpec["direction"],
  capture: CaptureSpec,
  isOwn: IsOwn,
): { readonly host: string; readonly port: number } | undefined {
  if (address === "" || address === "0.0.0.0" || address === "::") return undefined;
  if (capture.mode === "proxy-env" && direction === "inbound") {
    if (address !== capture.address) return undefined;
    const application = capture.inbound.find(({ containerPort }) => containerPort === port);
    return application === undefined ? undefined : { host: application.appAddress, port: application.appPort };
  }
  // An outbound call to one's own container port is an ordinary inbound call: policy applies to it.
  const loops = (use: SocketUse): boolean => direction === "inbound" || use.kind !== "inbound";
  return isOwn(address, port, loops) ? undefined : { host: address, port };
}
