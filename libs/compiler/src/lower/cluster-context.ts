import type { MeshConfig, MeshService, MeshServicePort } from "@lateen/mesh-model";
import type { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import type { DestinationPolicy } from "../world/destination-rules.ts";

/** What clusters depend on of the proxy that uses them. */
export interface ClientTraits {
  readonly http2: boolean;
  readonly router: boolean;
  /** A proxy of this project, which cannot do all that Envoy can. */
  readonly lateen: boolean;
  /** Names of headers keep their case in HTTP/1.1. */
  readonly preserveCase: boolean;
}

/** Everything the clusters of one service port depend on. */
export interface ClusterContext {
  readonly service: MeshService;
  readonly port: MeshServicePort;
  readonly rule: DestinationPolicy | undefined;
  readonly identities: readonly string[];
  readonly config: MeshConfig;
  readonly client: ClientTraits;
  /** PEM of roots that a BackendTLSPolicy names (`configmap://namespace/name`); undefined when they are not there. */
  readonly rootsOf?: (credentialName: string) => string | undefined;
  /** Whether there are endpoints and all of them take mesh mTLS, for clusters that have no endpoints of their own. */
  readonly everyEndpointMtls: () => boolean;
  /** For DNS clusters: the addresses to resolve, already shaped. */
  readonly dnsEndpoints: (cluster: string, subset: string) => ClusterLoadAssignment;
}
