export type { PrinterColumn } from "./crd/columns.ts";
export { type CustomResourceDefinition, customResourceDefinitions } from "./crd/crds.ts";
export { type StructuralSchema, structuralSchema } from "./crd/structural.ts";
export type { Component } from "./install/component.ts";
export { NAMES, type Names, namesOf, type PermissionTable } from "./install/components.ts";
export { componentsOf, injectionServiceOf, type ManifestParts, manifestOf } from "./install/manifest.ts";
export {
  INSTALL_LABELS,
  type InjectionSelection,
  identityOf,
  type KubernetesObject,
  NAMESPACE,
} from "./install/objects.ts";
export { INSTALLED_RESOURCES, RESOURCE_OF_KIND } from "./install/resources.ts";
export {
  type InstallSettings,
  PROFILES,
  type Profile,
  RELEASE,
  readSettings,
  SETTING_FORMS,
  SETTING_NAMES,
  settingsOf,
} from "./install/settings.ts";
export { INJECTION_WEBHOOK, injectionWebhooks, VALIDATION_WEBHOOK } from "./install/webhooks.ts";
