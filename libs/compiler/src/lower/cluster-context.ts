import type { MeshService, MeshServicePort } from "@lateen/mesh-model";
import type { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import type { DestinationPolicy } from "../world/destination-rules.ts";

/** Everything the clusters of one service port depend on. */
export interface ClusterContext {
  readonly service: MeshService;
  readonly port: MeshServicePort;
  readonly rule: DestinationPolicy | undefined;
  readonly identities: readonly string[];
  readonly autoMtls: boolean;
  readonly connectTimeoutMs: number;
  readonly client: { readonly http2: boolean; readonly router: boolean };
  /** Whether there are endpoints and all of them take mesh mTLS, for clusters that have no endpoints of their own. */
  readonly everyEndpointMtls: () => boolean;
  /** For DNS clusters: the addresses to resolve, already shaped. */
  readonly dnsEndpoints: (cluster: string, subset: string) => ClusterLoadAssignment;
}
