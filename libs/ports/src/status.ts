import type { ResourceKey } from "@lateen/mesh-model";

/** A Kubernetes-style condition on an object. */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}

/** Writes an object's status back to where the object lives. */
export interface StatusWriter {
  write(key: ResourceKey, conditions: readonly Condition[]): Promise<void>;
  /**
   * Writes a whole status, such as the Gateway API's. What others wrote into it (conditions of other types, parents of other controllers)
   * stays, and so does the time of a condition that is as it was.
   */
  writeStatus(key: ResourceKey, status: Readonly<Record<string, unknown>>): Promise<void>;
}
