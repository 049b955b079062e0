import type { MeshService, MeshServicePort } from "@lateen/mesh-model";
import type { BoundVirtualService } from "../world/virtual-services.ts";
import type { ObservedConfig } from "./access-log.ts";
import type { TcpPolicy } from "./filters.ts";
import type { Labels } from "./proto.ts";

/** What outbound listeners depend on besides the services. */
export interface OutboundContext {
  readonly config: ObservedConfig;
  readonly namespace: string;
  readonly labels: Labels;
  readonly domain: string;
  readonly client: { readonly http2: boolean; readonly lateen: boolean };
  readonly extensions: readonly string[];
  /** Some visible service is found by the host of each request, and the proxy can do that. */
  readonly dynamicDns: boolean;
  /** Cluster of unknown traffic; undefined: it is refused. */
  readonly fallback: string | undefined;
  /** Where the egress listener of the port is, when a Sidecar says so. */
  readonly bind?: { readonly address: string; readonly toPort: boolean } | undefined;
  readonly service: (host: string) => MeshService | undefined;
  /** Addresses of a headless service's ready endpoints. */
  readonly endpointAddresses: (service: MeshService, port: MeshServicePort) => readonly string[];
  /** What the destination rule of a host says of plain connections. */
  readonly tcpPolicy: (host: string, port: number, subset: string) => TcpPolicy;
  /** Virtual services of the mesh gateway that concern the port's services, oldest first. */
  readonly virtualServices: readonly BoundVirtualService[];
}
