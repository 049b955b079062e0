import { ingressPortBusy } from "../errors.ts";
import type { SupervisorOptions } from "../options.ts";
import { freePort, probePort } from "./loopback.ts";

const DEFAULT_INGRESS_PORT = 8080;

/**
 * The port of the ingress gateway on the loopback addresses: the one asked for; without a wish 8080, or a free one, which is told.
 * @throws LTN7004 when the port asked for is in use.
 */
export async function chooseIngressPort(options: SupervisorOptions, loopback: readonly string[]): Promise<number> {
  const wanted = options.ingressPort ?? DEFAULT_INGRESS_PORT;
  if (wanted === 0) return freePort(loopback);
  const states = await Promise.all(loopback.map((address) => probePort(address, wanted)));
  if (states.every((state) => state === "free")) return wanted;
  if (options.ingressPort !== undefined) throw ingressPortBusy(wanted);
  const port = await freePort(loopback);
  options.observe({
    type: "notice",
    level: "warn",
    message: `port ${wanted} is busy, the ingress gateway takes ${port}`,
  });
  return port;
}
