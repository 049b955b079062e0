import type { MeshService, MeshServicePort } from "./types.ts";

/**
 * Several ServiceEntries of one host in one namespace are one service: ports and addresses of all, everything else of the oldest,
 * which comes first. Endpoints stay with the ports of their own entry.
 */
export function mergeServices(services: readonly [MeshService, ...MeshService[]]): MeshService {
  const [first, ...others] = services;
  if (others.length === 0) return first;
  const ports = new Map<number, MeshServicePort>();
  for (const service of services) {
    for (const port of service.ports) if (!ports.has(port.number)) ports.set(port.number, port);
  }
  return {
    ...first,
    ports: [...ports.values()],
    addresses: [...new Set(services.flatMap((service) => service.addresses))],
    subjectAltNames: [...new Set(services.flatMap((service) => service.subjectAltNames))],
    parts: services,
  };
}

/** Name of the merged service's port that a port of one of its parts became. */
export function mergedPortName(service: MeshService, part: MeshService, portName: string): string {
  const number = part.ports.find((port) => port.name === portName)?.number;
  return service.ports.find((port) => port.number === number)?.name ?? portName;
}
