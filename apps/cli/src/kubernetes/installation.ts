import { permissionsOf } from "@lateen/adapter-kubernetes";
import { webhookSelections } from "@lateen/injector";
import { type InstallSettings, type KubernetesObject, manifestOf, readSettings } from "@lateen/manifests";
import { usageError } from "../errors.ts";

/** What is to be installed. */
export interface Installation {
  readonly settings: InstallSettings;
  readonly objects: readonly KubernetesObject[];
}

/** @param assignments of `--set`. @throws LTN7501 for settings that are none. */
export function installation(assignments: readonly string[]): Installation {
  const settings = readSettings(assignments);
  if (!settings.ok) throw usageError(settings.error.join("; "), "lateen install --help lists the settings");
  const { revision } = settings.value;
  const parts = { permissions: permissionsOf(revision), injection: webhookSelections({ revision }) };
  return { settings: settings.value, objects: manifestOf(settings.value, parts) };
}
