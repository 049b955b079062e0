/** Istio's resource names. Pure string work; one place, so that every generator agrees. */

/** A cluster without endpoints: where refused traffic goes. */
export const BLACK_HOLE_CLUSTER = "BlackHoleCluster";
/** Where unknown outbound traffic goes on to where it was headed. */
export const PASSTHROUGH_CLUSTER = "PassthroughCluster";
/** The same for ports that nothing declares, inbound. */
export const INBOUND_PASSTHROUGH_CLUSTER = "InboundPassthroughCluster";
/** Listener of all captured outbound connections. */
export const VIRTUAL_OUTBOUND = "virtualOutbound";
/** Listener of all captured inbound connections. */
export const VIRTUAL_INBOUND = "virtualInbound";
/** Port of {@link VIRTUAL_OUTBOUND}. */
export const OUTBOUND_PORT = 15001;
/** Port of {@link VIRTUAL_INBOUND}. */
export const INBOUND_PORT = 15006;

/** `outbound|9080|v1|reviews.default.svc.cluster.local` */
export function outboundCluster(host: string, port: number, subset = ""): string {
  return `outbound|${port}|${subset}|${host}`;
}

/** `inbound|9080||` */
export function inboundCluster(port: number): string {
  return `inbound|${port}||`;
}

/** The parts of an outbound cluster name, or undefined. */
export function parseOutboundCluster(
  name: string,
): { readonly host: string; readonly port: number; readonly subset: string } | undefined {
  const [direction, port, subset, host, extra] = name.split("|");
  if (direction !== "outbound" || subset === undefined || !host || extra !== undefined) return undefined;
  return { host, port: Number(port), subset };
}

/** SNI of mesh mTLS in DNS-SRV style: `outbound_.9080_.v1_.reviews.default.svc.cluster.local` */
export function meshSni(host: string, port: number, subset = ""): string {
  return `outbound_.${port}_.${subset}_.${host}`;
}

/** The cluster whose endpoints a name of {@link meshSni}'s form stands for, or undefined. */
export function clusterOfSni(name: string): string | undefined {
  const [direction, port, subset, host, extra] = name.split("_.");
  if (direction !== "outbound" || !port || subset === undefined || !host || extra !== undefined) return undefined;
  return outboundCluster(host, Number(port), subset);
}

/** `0.0.0.0_9080` */
export function listenerName(address: string, port: number): string {
  return `${address}_${port}`;
}

/** Istio's name of a configuration object in metadata `istio.config`. */
export function configPath(kind: "virtual-service" | "destination-rule", namespace: string, name: string): string {
  return `/apis/networking.istio.io/v1alpha3/namespaces/${namespace}/${kind}/${name}`;
}

/** Address of listeners for every address. */
export const WILDCARD = "0.0.0.0";
