/** Ports of the control plane; where there are several replicas, of the first ones. */
export interface ControlPlanePorts {
  readonly xds: number;
  readonly ca: number;
  readonly config: number;
  readonly als: number;
  readonly metrics: number;
  readonly http: number;
  readonly prometheus: number;
}

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
