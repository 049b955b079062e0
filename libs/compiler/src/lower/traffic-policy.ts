import { expectOk, parseDuration } from "@lateen/kernel";
import type { DefaultTrafficPolicy } from "@lateen/mesh-model";
import type { DestinationPolicy, TrafficPolicy } from "../world/destination-rules.ts";

/** The blocks of a traffic policy after layering, for one port of one subset. */
export type PolicyBlocks = Omit<TrafficPolicy, "portLevelSettings">;

/**
 * Layers a destination rule for one port: the port's own settings replace the destination-level blocks as a whole, then the
 * subset's policy (its own port level when present) is laid over block by block. That is Istio's order. What nobody sets is the
 * mesh's default.
 */
export function policyFor(
  rule: DestinationPolicy | undefined,
  port: number,
  subset: string,
  defaults: DefaultTrafficPolicy = {},
): PolicyBlocks {
  const base = { ...defaults, ...atPort(rule?.trafficPolicy, port) };
  if (subset === "") return base;
  const over = atPort(rule?.subsets.find((candidate) => candidate.name === subset)?.trafficPolicy, port);
  return { ...base, ...over };
}

function atPort(policy: TrafficPolicy | undefined, port: number): PolicyBlocks {
  if (policy === undefined) return {};
  const own = policy.portLevelSettings?.find((setting) => setting.port?.number === port);
  const { loadBalancer, connectionPool, outlierDetection, tls } = own ?? policy;
  const { tunnel, proxyProtocol, retryBudget } = policy;
  return {
    ...(loadBalancer === undefined ? {} : { loadBalancer }),
    ...(connectionPool === undefined ? {} : { connectionPool }),
    ...(outlierDetection === undefined ? {} : { outlierDetection }),
    ...(tls === undefined ? {} : { tls }),
    ...(tunnel === undefined ? {} : { tunnel }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(retryBudget === undefined ? {} : { retryBudget }),
  };
}

/** A duration of a decoded object in milliseconds; such texts have been checked when the object was decoded. */
export function milliseconds(text: string): number {
  return expectOk(parseDuration(text), (reason) => new RangeError(reason));
}
