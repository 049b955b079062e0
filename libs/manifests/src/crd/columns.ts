import type { KindName } from "@lateen/mesh-model";

/** A column of `kubectl get` (apiextensions.k8s.io/v1 CustomResourceColumnDefinition). */
export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "date";
  readonly jsonPath: string;
  readonly description: string;
}

const column = (name: string, jsonPath: string, description: string): PrinterColumn => ({
  name,
  type: "string",
  jsonPath,
  description,
});

const BY_KIND: Readonly<Partial<Record<KindName, readonly PrinterColumn[]>>> = {
  VirtualService: [
    column("Gateways", ".spec.gateways", "gateways, or mesh for sidecars, that route by it"),
    column("Hosts", ".spec.hosts", "hosts whose requests it routes"),
  ],
  DestinationRule: [column("Host", ".spec.host", "service it applies to")],
  ServiceEntry: [
    column("Hosts", ".spec.hosts", "hosts it adds to the mesh"),
    column("Location", ".spec.location", "MESH_INTERNAL or MESH_EXTERNAL"),
    column("Resolution", ".spec.resolution", "how its endpoints are found"),
  ],
  WorkloadEntry: [column("Address", ".spec.address", "address of the workload")],
  PeerAuthentication: [column("Mode", ".spec.mtls.mode", "mutual TLS of the workloads")],
  AuthorizationPolicy: [column("Action", ".spec.action", "what becomes of matching requests")],
};

const AGE: PrinterColumn = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "time since it was created",
};

/** The columns of a kind: Istio's, where Istio has any, and the age. */
export function printerColumns(kind: KindName): readonly PrinterColumn[] {
  return [...(BY_KIND[kind] ?? []), AGE];
}
