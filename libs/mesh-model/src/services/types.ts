import type { Brand } from "@lateen/kernel";
import type { workloadEntrySpec } from "../kinds/workload-entry/schema.ts";
import type { Infer } from "../schema/index.ts";

/** Fully qualified host name of a service, lower case: `reviews.default.svc.cluster.local`. */
export type ServiceHost = Brand<string, "ServiceHost">;

/** Declared or detected application protocol of a port. `Auto` = sniffed. UDP ports are not part of the model. */
export type Protocol =
  | "HTTP"
  | "HTTP_PROXY"
  | "HTTP2"
  | "GRPC"
  | "GRPCWeb"
  | "HTTPS"
  | "TLS"
  | "TCP"
  | "Mongo"
  | "Redis"
  | "MySQL"
  | "Auto";

export interface MeshServicePort {
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
  /** Container port number or name; the number itself when unset. */
  readonly targetPort: number | string;
}

/** A destination of the mesh, whatever it was declared with. */
export interface MeshService {
  readonly host: ServiceHost;
  /** Metadata name (Service) or the host itself (ServiceEntry). */
  readonly name: string;
  readonly namespace: string;
  /** `Kubernetes` or `External`, as NDS and logs call it. */
  readonly registry: "Kubernetes" | "External";
  readonly ports: readonly MeshServicePort[];
  /** Virtual IPs or CIDRs; empty for headless services and address-less entries. */
  readonly addresses: readonly string[];
  /** clientSide = EDS; passthrough = ORIGINAL_DST (headless, resolution NONE); dns = STRICT_DNS; dnsRoundRobin = LOGICAL_DNS; alias = ExternalName; dynamicDns = the host of each request (dynamic forward proxy). */
  readonly resolution: "clientSide" | "passthrough" | "dns" | "dnsRoundRobin" | "alias" | "dynamicDns";
  /** For alias: the host it stands for. */
  readonly aliasOf: string | undefined;
  /** MESH_EXTERNAL: no mTLS. */
  readonly meshExternal: boolean;
  /** Labels that select the workloads; undefined when endpoints are given otherwise. */
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly exportTo: readonly string[];
  readonly subjectAltNames: readonly string[];
  readonly publishNotReadyAddresses: boolean;
  readonly headless: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Epoch milliseconds, for conflict rules; 0 when unknown. */
  readonly createdAt: number;
  /** Key of the object it was declared with. */
  readonly source: string;
  /** Endpoints written inside a ServiceEntry; absent or empty otherwise. */
  readonly inlineEndpoints?: readonly Infer<typeof workloadEntrySpec>[];
  /** Which endpoints clients are to prefer where no rule says so; absent: any. */
  readonly trafficDistribution?: "PreferClose" | "PreferSameZone" | "PreferSameNode";
  /** Clients reach only endpoints on their own machine (`internalTrafficPolicy: Local`). */
  readonly nodeLocal?: true;
  /** Services of one host and namespace that were declared apart and count as this one; absent: it is only itself. */
  readonly parts?: readonly MeshService[];
}

/** One address of a service port. */
export interface ServiceEndpoint {
  /** IP, DNS name or `unix://` path. */
  readonly address: string;
  readonly port: number;
  /** Name of the service port it belongs to. */
  readonly portName: string;
  readonly ready: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly namespace: string;
  readonly workload: string;
  readonly locality: string;
  readonly network: string;
  readonly weight: number;
  /** `istio` when a sidecar with mTLS is there (label security.istio.io/tlsMode), else `disabled`. */
  readonly tlsMode: "istio" | "disabled";
  /** Name of the machine it is on; absent: unknown. */
  readonly machine?: string;
  /** First label of its own name below the service's, as pods of a StatefulSet have; absent: it has none. */
  readonly hostname?: string;
}

/** A running workload as policies and inbound listeners see it. */
export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly pod: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly ready: boolean;
  readonly containerPorts: readonly { readonly name: string; readonly port: number }[];
  /** Name of the machine it runs on; empty: unknown. */
  readonly node?: string;
  /** Of its machine, when its labels say nothing. */
  readonly locality?: string;
  /** `hostname` and `subdomain` of the pod, when it has both: its name below the service that is called like the subdomain. */
  readonly named?: { readonly hostname: string; readonly subdomain: string };
}
