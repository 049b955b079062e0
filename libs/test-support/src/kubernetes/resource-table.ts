/** A resource that the API server knows. */
export interface ApiResource {
  readonly group: string;
  readonly versions: readonly string[];
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Objects have a status that only its subresource changes. */
  readonly status?: boolean;
}

const core = (plural: string, kind: string, more: Partial<ApiResource> = {}): ApiResource => ({
  group: "",
  versions: ["v1"],
  plural,
  kind,
  namespaced: true,
  ...more,
});

/** What every cluster has, of what a mesh reads. */
export const BUILT_IN: readonly ApiResource[] = [
  core("services", "Service", { status: true }),
  core("pods", "Pod", { status: true }),
  core("endpoints", "Endpoints"),
  core("configmaps", "ConfigMap"),
  core("secrets", "Secret"),
  core("serviceaccounts", "ServiceAccount"),
  core("nodes", "Node", { namespaced: false, status: true }),
  core("namespaces", "Namespace", { namespaced: false, status: true }),
  { group: "discovery.k8s.io", versions: ["v1"], plural: "endpointslices", kind: "EndpointSlice", namespaced: true },
  {
    ...{ group: "admissionregistration.k8s.io", versions: ["v1"], namespaced: false },
    ...{ plural: "mutatingwebhookconfigurations", kind: "MutatingWebhookConfiguration" },
  },
  {
    ...{ group: "admissionregistration.k8s.io", versions: ["v1"], namespaced: false },
    ...{ plural: "validatingwebhookconfigurations", kind: "ValidatingWebhookConfiguration" },
  },
  { group: "coordination.k8s.io", versions: ["v1"], plural: "leases", kind: "Lease", namespaced: true },
  {
    group: "networking.k8s.io",
    versions: ["v1"],
    plural: "ingresses",
    kind: "Ingress",
    namespaced: true,
    status: true,
  },
  { group: "networking.k8s.io", versions: ["v1"], plural: "ingressclasses", kind: "IngressClass", namespaced: false },
];

/** Key of a resource, whatever its version. */
export function resourceId({ group, plural }: Pick<ApiResource, "group" | "plural">): string {
  return `${plural}.${group}`;
}
