import { permissionsOf } from "@lateen/adapter-kubernetes";
import { webhookSelections } from "@lateen/injector";
import type { ManifestParts } from "@lateen/manifests";

/** What an installation of a revision is made of besides the manifests' own. */
export function partsOf(revision: string): ManifestParts {
  return { permissions: permissionsOf(revision), injection: webhookSelections({ revision }) };
}

/** Those of the default revision. */
export const parts: ManifestParts = partsOf("default");
