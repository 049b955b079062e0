/** Names of kinds in requests, with their groups, for everything that an installation is made of. */
export const RESOURCE_OF_KIND: Readonly<Record<string, string>> = {
  Namespace: "namespaces",
  CustomResourceDefinition: "customresourcedefinitions.apiextensions.k8s.io",
  PriorityClass: "priorityclasses.scheduling.k8s.io",
  ConfigMap: "configmaps",
  ServiceAccount: "serviceaccounts",
  Service: "services",
  ClusterRole: "clusterroles.rbac.authorization.k8s.io",
  ClusterRoleBinding: "clusterrolebindings.rbac.authorization.k8s.io",
  Role: "roles.rbac.authorization.k8s.io",
  RoleBinding: "rolebindings.rbac.authorization.k8s.io",
  Deployment: "deployments.apps",
  StatefulSet: "statefulsets.apps",
  PodDisruptionBudget: "poddisruptionbudgets.policy",
  HorizontalPodAutoscaler: "horizontalpodautoscalers.autoscaling",
  NetworkPolicy: "networkpolicies.networking.k8s.io",
  MutatingWebhookConfiguration: "mutatingwebhookconfigurations.admissionregistration.k8s.io",
  ValidatingWebhookConfiguration: "validatingwebhookconfigurations.admissionregistration.k8s.io",
};

/** What to look through for the objects of an installation. */
export const INSTALLED_RESOURCES: readonly string[] = Object.values(RESOURCE_OF_KIND);
