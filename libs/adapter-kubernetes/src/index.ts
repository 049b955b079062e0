export type { ClusterAccess } from "./client/access.ts";
export { type ApiOptions, KubernetesApi } from "./client/api.ts";
export { type InClusterOptions, inClusterAccess } from "./client/in-cluster.ts";
export { type KubeconfigOptions, kubeconfigAccess, kubeconfigFiles } from "./client/kubeconfig.ts";
export { type OpenOptions, openKubernetes } from "./client/open.ts";
export { askMinor, minorOf } from "./client/version.ts";
export { configKinds, type KubernetesSourceOptions, kubernetesConfigSource } from "./config/kubernetes-source.ts";
export { type KubernetesStoreOptions, kubernetesConfigStore } from "./config/kubernetes-store.ts";
export { kubernetesConfigWriter } from "./config/kubernetes-writer.ts";
export { KEY_SETS_MAP, kubernetesKeySetStore } from "./identity/key-set-store.ts";
export {
  publishRootCertificate,
  ROOT_CERTIFICATE_MAP,
  type RootCertificateOptions,
} from "./identity/root-certificate.ts";
export { kubernetesSecretStore, type SecretStoreOptions } from "./identity/secret-store.ts";
export {
  keepStoreSecrets,
  STORE_FILES,
  STORE_USER,
  type StoreCertificate,
  type StoreSecretsOptions,
} from "./identity/store-secrets.ts";
export { kubernetesTokenReviewer, type TokenReviewerOptions } from "./identity/token-reviewer.ts";
export { type KubernetesLeaseOptions, kubernetesLease, type LeaseTimes } from "./lease/kubernetes-lease.ts";
export { type LeadingOptions, whileLeading } from "./lease/while-leading.ts";
export {
  type ComponentPermissions,
  type IsPermittedOptions,
  isPermitted,
  kubernetesPermissions,
  type PermissionRule,
  type PermissionsByComponent,
  type PermittedComponent,
  permissionsOf,
} from "./permissions.ts";
export { type KubernetesRegistryOptions, kubernetesRegistry } from "./registry/kubernetes-registry.ts";
export { configReferences, type References, type Wanted } from "./registry/references.ts";
export {
  type PublishStatusesOptions,
  publishStatuses,
  STATUS_LEASE,
  type StatusSource,
} from "./status/publish-statuses.ts";
export { kubernetesStatusWriter } from "./status/status-writer.ts";
export type { FollowOptions } from "./watch/follow.ts";
export type { WatchTuning } from "./watch/pauses.ts";
export { kubernetesWebhooks, TAG_LABEL } from "./webhooks.ts";
