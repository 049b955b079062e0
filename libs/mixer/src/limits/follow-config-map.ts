import { RATE_LIMITS_CONFIG_MAP, resourceKey } from "@lateen/mesh-model";
import type { AcceptedObject, StateDelta } from "@lateen/ports";
import type { LimitDocument } from "./limit-config.ts";

/**
 * Turns deltas of accepted configuration into the documents of the ConfigMap `ratelimit-config` of the root namespace: one for each of its
 * keys. The result is called for each delta; it gives what changed, which may be nothing.
 */
export function rateLimitsOfConfigMap(
  rootNamespace: string,
): (delta: StateDelta<AcceptedObject>) => readonly LimitDocument[] {
  const key = resourceKey("ConfigMap", rootNamespace, RATE_LIMITS_CONFIG_MAP);
  let known: Readonly<Record<string, string>> = {};
  const change = (next: Readonly<Record<string, string>>): readonly LimitDocument[] => {
    const nameOf = (name: string) => `ConfigMap/${rootNamespace}/${RATE_LIMITS_CONFIG_MAP}#${name}`;
    const gone = Object.keys(known).filter((name) => !Object.hasOwn(next, name));
    const changed = Object.entries(next).filter(([name, text]) => known[name] !== text);
    known = next;
    return [
      ...gone.map((name) => ({ name: nameOf(name), text: undefined })),
      ...changed.map(([name, text]) => ({ name: nameOf(name), text })),
    ];
  };
  return ({ snapshot, upserted, removed }) => {
    const entry = upserted.find((one) => one.key === key);
    if (entry?.value.object.kind === "ConfigMap") return change(entry.value.object.data ?? {});
    return snapshot || removed.includes(key) ? change({}) : [];
  };
}
