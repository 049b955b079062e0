import { codes } from "../errors.ts";
import type { ObjectMeta } from "../metadata.ts";
import type { Check } from "./check.ts";
import { checkLabels, isDnsLabel, isDnsSubdomain } from "./names.ts";

const DNS_LABEL_KINDS: ReadonlySet<string> = new Set(["Service", "Namespace"]);

/** Checks an object's metadata and completes it. @returns undefined when the name is missing. */
export function checkMetadata(
  metadata: Readonly<Record<string, unknown>>,
  kind: string,
  namespaced: boolean,
  defaultNamespace: string,
  parent: Check,
): ObjectMeta | undefined {
  const check = parent.at("metadata");
  const given = metadata as Partial<ObjectMeta>;
  if (given.name === undefined || given.name === "") {
    const hint = given.generateName === undefined ? undefined : "generateName is not supported; give a name";
    check.error(`field "name" is required`, { code: codes.missingField, hint });
    return undefined;
  }
  const legal = DNS_LABEL_KINDS.has(kind) ? isDnsLabel(given.name) : isDnsSubdomain(given.name);
  if (!legal) {
    check.at("name").error(`"${given.name}" is not a valid name for a ${kind}`, {
      code: codes.metadata,
      hint: "use lower-case letters, digits and '-', beginning and ending with a letter or digit",
    });
  }
  if (given.namespace !== undefined && given.namespace !== "" && !isDnsLabel(given.namespace)) {
    check.at("namespace").error(`"${given.namespace}" is not a valid namespace`, { code: codes.metadata });
  }
  checkLabels(given.labels, check.at("labels"));
  for (const key of Object.keys(given.annotations ?? {})) {
    if (!key.startsWith("internal.istio.io/")) continue;
    check.at("annotations", key).error(`annotation "${key}" is reserved for the control plane`, {
      code: codes.metadata,
      part: "key",
    });
  }
  const namespace = namespaced ? given.namespace || defaultNamespace : "";
  return { ...given, name: given.name, namespace };
}
