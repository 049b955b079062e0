import type { ControlPlanePorts } from "./pod/dependencies.ts";

/** Where Istio's control plane listens. */
export const CANONICAL_PORTS: ControlPlanePorts = {
  xds: 15_012,
  ca: 8060,
  config: 9901,
  als: 9091,
  metrics: 15_014,
  http: 15_080,
  prometheus: 42_422,
};

/** `xds 40123 instead of 15012, …`: the ports that are not the usual ones; empty when all are. */
export function movedPorts(ports: ControlPlanePorts): string {
  const names = Object.keys(CANONICAL_PORTS) as (keyof ControlPlanePorts)[];
  return names
    .filter((name) => ports[name] !== CANONICAL_PORTS[name])
    .map((name) => `${name} ${ports[name]} instead of ${CANONICAL_PORTS[name]}`)
    .join(", ");
}
