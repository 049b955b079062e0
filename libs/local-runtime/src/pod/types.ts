import type { Deployment, Resource } from "@lateen/mesh-model";

/** A pod's spec, as a Deployment's template holds it. */
export type PodTemplateSpec = Deployment["spec"]["template"]["spec"];
/** One container of it. */
export type Container = PodTemplateSpec["containers"][number];
/** One volume of it. */
export type Volume = NonNullable<PodTemplateSpec["volumes"]>[number];
/** A probe of a container. */
export type Probe = NonNullable<Container["readinessProbe"]>;
export type Secret = Resource<"Secret">;

/** What a pod is made from; fixed for its life. */
export interface PodBlueprint {
  readonly namespace: string;
  readonly name: string;
  /** Deployment name, gateway name, or the workload name of a joined process. */
  readonly workload: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodTemplateSpec;
  /** Changes when the template changes; a pod with another hash is replaced. */
  readonly templateHash: string;
  readonly kind: "workload" | "gateway" | "joined";
  /** Kind of what the pod belongs to. Default: a ReplicaSet of the Deployment that the workload names. */
  readonly controller?: "StatefulSet";
  /** Ports beside the declared ones that Services send traffic to. */
  readonly extraPorts: readonly number[];
}

/** One port of a pod: declared, bound by the sidecar at the pod's address, and where on 127.0.0.1 the application listens. */
export interface PodPort {
  readonly container: number;
  readonly name: string;
  readonly privatePort: number;
}

/** What a pod shows to others. */
export interface PodView {
  readonly namespace: string;
  readonly name: string;
  readonly workload: string;
  readonly kind: PodBlueprint["kind"];
  readonly controller?: PodBlueprint["controller"] | undefined;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly templateHash: string;
  readonly address: string;
  readonly ready: boolean;
  readonly phase: "Pending" | "Running" | "CrashLoopBackOff" | "Terminating";
  /** Why it is not ready; empty when it is. */
  readonly reason: string;
  readonly restarts: number;
  readonly ports: readonly PodPort[];
  readonly containerPorts: readonly { readonly name: string; readonly port: number; readonly container: string }[];
  readonly images: readonly { readonly container: string; readonly image: string }[];
  readonly createdAt: number;
  /** Its own name below the service that the subdomain names. Default none. */
  readonly hostname?: string | undefined;
  readonly subdomain?: string | undefined;
}
