import type { Scope } from "@lateen/kernel";
import type { Resource } from "@lateen/mesh-model";

/**
 * Objects that say what runs: Pod (with status.podIP and a Ready condition), Endpoints, EndpointSlice, Namespace, Node; where the registry is
 * a cluster also its Services, and the Secrets and ConfigMaps that configuration refers to.
 */
export type RegistryObject =
  | Resource<"Service">
  | Resource<"Pod">
  | Resource<"Node">
  | Resource<"Secret">
  | Resource<"ConfigMap">
  | Resource<"Endpoints">
  | Resource<"EndpointSlice">
  | Resource<"Namespace">;

export interface RegistryDelta {
  /** True on the first delivery: replaces all. */
  readonly snapshot: boolean;
  readonly upserted: readonly RegistryObject[];
  /** Keys `Kind/namespace/name`. */
  readonly removed: readonly string[];
  /** What the registry calls this state, where it numbers its states (`metadata.resourceVersion` of a Kubernetes list). */
  readonly version?: string;
}

/** What is running where. Adapters: a file that the local supervisor writes, Kubernetes. */
export interface ServiceRegistry {
  /** Resolves once the first snapshot was delivered. */
  watch(scope: Scope, receive: (delta: RegistryDelta) => void): Promise<void>;
}
