import type { NetworkGateway } from "../world/networks.ts";
import type { PlacedEndpoint } from "./endpoints.ts";

/** What decides on the way to endpoints of other networks. */
export interface NetworkContext {
  /** Network of the client; empty: unknown, then everything is taken to be within reach. */
  readonly client: string;
  /** The network of an address that names none; empty: unknown. */
  readonly networkOf: (address: string) => string;
  readonly gateways: Readonly<Record<string, readonly NetworkGateway[]>>;
  /** Whether the destination is spoken to with mesh mTLS at all: gateways of networks take nothing else. */
  readonly mtls: boolean;
}

/**
 * Replaces endpoints of other networks by the gateways of those, which carry their weight together, locality by locality. Endpoints there
 * that do not take mesh mTLS cannot be reached and are left out. A network without known gateway is within reach.
 */
export function throughGateways(placed: readonly PlacedEndpoint[], context: NetworkContext): readonly PlacedEndpoint[] {
  const { client, networkOf, gateways, mtls } = context;
  const near: PlacedEndpoint[] = [];
  const far = new Map<string, { readonly network: string; first: PlacedEndpoint; weight: number }>();
  for (const entry of placed) {
    const network = entry.endpoint.network || networkOf(entry.endpoint.address);
    const isNear = client === "" || network === "" || network === client || gateways[network] === undefined;
    if (isNear) near.push(entry);
    else if (mtls && entry.mtls) {
      const key = `${network} ${entry.endpoint.locality}`;
      const known = far.get(key) ?? { network, first: entry, weight: 0 };
      far.set(key, known);
      known.weight += weightOf(entry);
    }
  }
  if (far.size === 0) return near;
  // Whole numbers that keep every share: a network's weight is divided by the number of its gateways.
  const counts = [...far.values()].map(({ network }) => gateways[network]?.length ?? 0);
  const scale = counts.reduce((product, count) => (count === 0 ? product : leastCommonMultiple(product, count)), 1);
  return [
    ...near.map((entry) => weighing(entry, weightOf(entry) * scale)),
    ...[...far.values()].flatMap(({ network, first, weight }) => {
      const ways = gateways[network] ?? [];
      return ways
        .map((gateway) => ({ ...gatewayEndpoint(first, gateway, network), mtls: true, workload: "" }))
        .map((entry) => weighing(entry, (weight * scale) / ways.length));
    }),
  ];
}

function gatewayEndpoint({ endpoint }: PlacedEndpoint, { address, port }: NetworkGateway, network: string) {
  const { portName, namespace, locality } = endpoint;
  const place = { address, port, portName, namespace, locality, network };
  return {
    endpoint: {
      ...place,
      ready: true,
      labels: {},
      serviceAccount: "",
      workload: "",
      weight: 1,
      tlsMode: "istio" as const,
    },
  };
}

function weighing(entry: PlacedEndpoint, weight: number): PlacedEndpoint {
  return weight === entry.endpoint.weight ? entry : { ...entry, endpoint: { ...entry.endpoint, weight } };
}

function weightOf(entry: PlacedEndpoint): number {
  return Math.max(1, entry.endpoint.weight);
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
