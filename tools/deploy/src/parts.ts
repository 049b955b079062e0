import { kubernetesPermissions } from "@lateen/adapter-kubernetes";
import { webhookSelections } from "@lateen/injector";
import type { ManifestParts } from "@lateen/manifests";

/** What an installation is made of besides the manifests' own. */
export const parts: ManifestParts = {
  permissions: kubernetesPermissions,
  injection: webhookSelections({ revision: "default" }),
};
