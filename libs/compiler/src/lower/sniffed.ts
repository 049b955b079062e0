import type { MeshService, MeshServicePort } from "@lateen/mesh-model";
import { portClass } from "./protocol.ts";

/** Name of the route configuration that a sniffed service's own listener refers to: `host:port`. */
export function sniffedRouteName(service: MeshService, port: MeshServicePort): string {
  return `${service.host}:${port.number}`;
}

/** Whether the port of a service has its own sniffing listener (declared nothing, has an address). */
export function hasSniffedListener(
  service: MeshService,
  port: MeshServicePort,
  client: { readonly http2: boolean },
): boolean {
  return portClass(port.protocol, client) === "auto" && addressesOf(service).length > 0;
}

/** The addresses of a service that are no ranges. */
export function addressesOf(service: MeshService): readonly string[] {
  return service.addresses.filter((address) => !address.includes("/"));
}
