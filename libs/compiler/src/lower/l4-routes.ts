import type { TcpTarget } from "./filters.ts";
import { destinationCluster } from "./http-routes.ts";

/** Clusters and weights of an L4 route; one destination needs no weight, zero weights are dropped among several. */
export function l4Clusters(
  routes: readonly { readonly destination: Parameters<typeof destinationCluster>[0]; readonly weight?: number }[],
  namespace: string,
  context: Parameters<typeof destinationCluster>[2],
): TcpTarget["clusters"] {
  const weighted = routes.length > 1 ? routes.filter((route) => (route.weight ?? 0) > 0) : routes;
  return weighted.map((route) => ({
    name: destinationCluster(route.destination, namespace, context),
    weight: route.weight ?? 1,
  }));
}
