import type { ConvertedBackendTls } from "./backend-tls.ts";
import type { Condition } from "./conditions.ts";
import type { ConvertedGateway } from "./gateways.ts";
import type { ConvertedIngress } from "./ingress.ts";
import type { ConvertedRoute } from "./routes.ts";

/** The `status` of an object, as its API has it; without times. */
export type ConvertedStatus = Readonly<Record<string, unknown>>;

const WAITING: readonly Condition[] = [
  { type: "Accepted", status: "Unknown", reason: "Pending", message: "Waiting for controller" },
  { type: "Programmed", status: "Unknown", reason: "Pending", message: "Waiting for controller" },
];

/** A status whose conditions say which generation of their object they speak of. */
export function observedAt(status: ConvertedStatus, generation: number | undefined): ConvertedStatus {
  if (generation === undefined) return status;
  const observed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(observed);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).map(([key, entry]) => [
      key,
      key === "conditions" && Array.isArray(entry)
        ? entry.map((one: Condition) => ({ ...one, observedGeneration: generation }))
        : observed(entry),
    ]);
    return Object.fromEntries(entries);
  };
  return observed(status) as ConvertedStatus;
}

/**
 * Status of a Gateway; undefined stands for one of another controller.
 * @param attached number of routes by listener name.
 */
export function gatewayStatus(
  converted: ConvertedGateway | undefined,
  attached: ReadonlyMap<string, number>,
): ConvertedStatus {
  if (converted === undefined) return { conditions: WAITING };
  const { addresses, conditions, listeners } = converted;
  return {
    ...(addresses.length === 0 ? {} : { addresses }),
    conditions,
    listeners: listeners.map((listener) => ({ ...listener, attachedRoutes: attached.get(listener.name) ?? 0 })),
  };
}

/** Status of a route. */
export function routeStatus({ parents }: ConvertedRoute): ConvertedStatus {
  return { parents: parents.map(({ listeners: _listeners, ...parent }) => parent) };
}

/** Status of an Ingress. */
export function ingressStatus({ addresses }: ConvertedIngress): ConvertedStatus {
  return { loadBalancer: addresses.length === 0 ? {} : { ingress: addresses.map((ip) => ({ ip })) } };
}

/** Status of a BackendTLSPolicy. */
export function backendTlsStatus({ ancestors }: ConvertedBackendTls): ConvertedStatus {
  return { ancestors };
}
