import { DEFAULT_REVISION, injectionWebhookOf, nameInRevision, validationWebhookOf } from "@lateen/mesh-model";

/** One rule of a Role or ClusterRole. */
export interface PermissionRule {
  /** `""` is the core group. */
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** Only these objects; such rules go without `create`, which has no name yet. */
  readonly resourceNames?: readonly string[];
}

export interface ComponentPermissions {
  /** In a ClusterRole: over all namespaces. */
  readonly cluster: readonly PermissionRule[];
  /** In a Role of the control plane's own namespace. */
  readonly own: readonly PermissionRule[];
}

export type PermittedComponent = "pilot" | "galley" | "citadel" | "mixer" | "sidecar-injector" | "control-plane";

const READ = ["get", "list", "watch"] as const;
const ISTIO_GROUPS = ["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"];

const REVIEW_TOKENS: PermissionRule = {
  apiGroups: ["authentication.k8s.io"],
  resources: ["tokenreviews"],
  verbs: ["create"],
};

/** What runs: `--registry kubernetes`. */
const REGISTRY: readonly PermissionRule[] = [
  { apiGroups: [""], resources: ["services", "pods", "nodes", "namespaces"], verbs: ["list", "watch"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
];

/** Certificates that gateways and rules name; only those are read. Leave it out, or bind it per namespace, where there are none. */
const CREDENTIALS: readonly PermissionRule[] = [
  { apiGroups: [""], resources: ["secrets", "configmaps"], verbs: [...READ] },
];

/** Statuses: `--write-status`, which is on unless it is said otherwise. */
const STATUS: readonly PermissionRule[] = [
  {
    apiGroups: ["gateway.networking.k8s.io"],
    resources: [
      "gatewayclasses",
      "gateways",
      "httproutes",
      "grpcroutes",
      "tlsroutes",
      "tcproutes",
      "backendtlspolicies",
    ],
    verbs: ["get"],
  },
  {
    apiGroups: ["gateway.networking.k8s.io"],
    resources: [
      "gatewayclasses/status",
      "gateways/status",
      "httproutes/status",
      "grpcroutes/status",
      "tlsroutes/status",
      "tcproutes/status",
      "backendtlspolicies/status",
    ],
    verbs: ["patch"],
  },
  { apiGroups: ["networking.k8s.io"], resources: ["ingresses"], verbs: ["get"] },
  { apiGroups: ["networking.k8s.io"], resources: ["ingresses/status"], verbs: ["patch"] },
];

/** Configuration: `--config kubernetes`. */
const CONFIGURATION: readonly PermissionRule[] = [
  { apiGroups: ISTIO_GROUPS, resources: ["*"], verbs: ["list", "watch"] },
  { apiGroups: ["gateway.networking.k8s.io"], resources: ["*"], verbs: ["list", "watch"] },
  { apiGroups: ["networking.k8s.io"], resources: ["ingresses", "ingressclasses"], verbs: ["list", "watch"] },
  // Of workloads that register themselves.
  {
    apiGroups: ["networking.istio.io"],
    resources: ["workloadentries"],
    verbs: ["get", "create", "update", "delete"],
  },
];

/** What injection depends on: `--config kubernetes` of the injector. */
const PROXY_CONFIGS: PermissionRule = {
  apiGroups: ["networking.istio.io"],
  resources: ["proxyconfigs"],
  verbs: ["list", "watch"],
};

/** The mesh configuration, and galley's own notes. */
const configurationOwn = (revision: string): readonly PermissionRule[] => [
  {
    apiGroups: [""],
    resources: ["configmaps"],
    verbs: ["list", "watch"],
    resourceNames: [nameInRevision("istio", revision), "ratelimit-config"],
  },
  {
    apiGroups: [""],
    resources: ["configmaps"],
    verbs: ["get", "update"],
    resourceNames: [nameInRevision("lateen-galley", revision)],
  },
  { apiGroups: [""], resources: ["configmaps"], verbs: ["create"] },
];

const LEASES: readonly PermissionRule[] = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
];

/** `istio-ca-root-cert` in every namespace. */
const ROOT_CERTIFICATES: readonly PermissionRule[] = [
  { apiGroups: [""], resources: ["namespaces"], verbs: ["list", "watch"] },
  {
    apiGroups: [""],
    resources: ["configmaps"],
    verbs: ["list", "watch", "patch"],
    resourceNames: ["istio-ca-root-cert"],
  },
  { apiGroups: [""], resources: ["configmaps"], verbs: ["create"] },
];

/** `--ca-store kubernetes`. */
const CA_SECRET: readonly PermissionRule[] = [
  { apiGroups: [""], resources: ["secrets"], verbs: ["get"], resourceNames: ["cacerts", "istio-ca-secret"] },
  { apiGroups: [""], resources: ["secrets"], verbs: ["create"] },
];

/** `--store-secrets`, of the names that an installation gives its stores. */
const storeSecrets = (revision: string): readonly PermissionRule[] => [
  {
    apiGroups: [""],
    resources: ["secrets"],
    verbs: ["get"],
    resourceNames: ["istio-nats", "istio-redis"].map((name) => nameInRevision(name, revision)),
  },
];

/** The trust bundle in the configurations of webhooks: `--webhook`. */
const trusting = (plural: string, ...resourceNames: string[]): PermissionRule => ({
  apiGroups: ["admissionregistration.k8s.io"],
  resources: [plural],
  verbs: ["get", "patch"],
  resourceNames,
});
/** Which webhooks are tags of this revision; each tag brings the right to write its own with it. */
const TAGS: PermissionRule = {
  apiGroups: ["admissionregistration.k8s.io"],
  resources: ["mutatingwebhookconfigurations"],
  verbs: ["list"],
};

/** Key sets of token issuers that pilot fetched last. */
const KEY_SETS: readonly PermissionRule[] = [
  { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"], resourceNames: ["lateen-issuer-keys"] },
  { apiGroups: [""], resources: ["configmaps"], verbs: ["create"] },
];

/** The table of rights. */
export type PermissionsByComponent = Readonly<Record<PermittedComponent, ComponentPermissions>>;

/**
 * What each component of a revision asks of the API server, and nothing else: the roles of an installation are made from this table, and the tests of this
 * library run against a server that refuses the rest.
 */
export function permissionsOf(revision: string): PermissionsByComponent {
  const injection = [trusting("mutatingwebhookconfigurations", injectionWebhookOf(revision)), TAGS];
  const validation = trusting("validatingwebhookconfigurations", validationWebhookOf(revision));
  const pilot: ComponentPermissions = {
    cluster: [REVIEW_TOKENS, ...REGISTRY, ...CREDENTIALS, ...STATUS],
    own: [...LEASES, ...KEY_SETS],
  };
  const galley: ComponentPermissions = {
    cluster: [REVIEW_TOKENS, ...CONFIGURATION, validation],
    own: [...configurationOwn(revision), ...LEASES],
  };
  const citadel: ComponentPermissions = {
    cluster: [REVIEW_TOKENS, ...ROOT_CERTIFICATES],
    own: [...CA_SECRET, ...storeSecrets(revision), ...LEASES],
  };
  return {
    pilot,
    galley,
    citadel,
    mixer: { cluster: [REVIEW_TOKENS], own: [] },
    "sidecar-injector": { cluster: [...injection, PROXY_CONFIGS], own: [] },
    "control-plane": {
      cluster: [...pilot.cluster, ...galley.cluster.slice(1), ...citadel.cluster.slice(1), ...injection],
      own: [...galley.own, ...KEY_SETS.slice(0, 1), ...CA_SECRET],
    },
  };
}

/** The rights in the default revision. */
export const kubernetesPermissions: PermissionsByComponent = permissionsOf(DEFAULT_REVISION);

export interface IsPermittedOptions {
  /** That of the control plane. Default `istio-system`. */
  readonly ownNamespace?: string;
  /** Default: that of the default revision. */
  readonly table?: PermissionsByComponent;
}

/** Whether the rules of a component allow a request, as RBAC decides it. */
export function isPermitted(
  component: PermittedComponent,
  request: {
    readonly verb: string;
    readonly group: string;
    readonly plural: string;
    readonly subresource: string | undefined;
    readonly namespace: string | undefined;
    readonly name: string | undefined;
    readonly path?: string;
  },
  { ownNamespace = "istio-system", table = kubernetesPermissions }: IsPermittedOptions = {},
): boolean {
  // Kubernetes' own role `system:public-info-viewer` lets every account ask that.
  if (request.path === "/version") return true;
  const { cluster, own } = table[component];
  const rules = request.namespace === ownNamespace ? [...cluster, ...own] : cluster;
  const resource = request.subresource === undefined ? request.plural : `${request.plural}/${request.subresource}`;
  const has = (list: readonly string[], value: string) => list.includes(value) || list.includes("*");
  return rules.some(
    ({ apiGroups, resources, verbs, resourceNames }) =>
      has(apiGroups, request.group) &&
      has(resources, resource) &&
      has(verbs, request.verb) &&
      (resourceNames === undefined || (request.name !== undefined && resourceNames.includes(request.name))),
  );
}
