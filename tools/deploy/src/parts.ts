import { kubernetesPermissions } from "@lateen/adapter-kubernetes";
import type { ManifestParts } from "@lateen/manifests";

/** What an installation is made of besides the manifests' own. */
export const parts: ManifestParts = { permissions: kubernetesPermissions };
