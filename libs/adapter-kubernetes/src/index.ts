export type { ClusterAccess } from "./client/access.ts";
export { type ApiOptions, KubernetesApi } from "./client/api.ts";
export { type InClusterOptions, inClusterAccess } from "./client/in-cluster.ts";
export { type KubeconfigOptions, kubeconfigAccess, kubeconfigFiles } from "./client/kubeconfig.ts";
export { type OpenOptions, openKubernetes } from "./client/open.ts";
export { kubernetesRegistry } from "./registry/kubernetes-registry.ts";
export type { FollowOptions } from "./watch/follow.ts";
export type { WatchTuning } from "./watch/pauses.ts";
