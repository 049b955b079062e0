import { identityOf, type KubernetesObject, PROFILES, type Profile } from "@lateen/manifests";

/** An object together with the profiles that have it just so. */
export interface Variant {
  readonly object: KubernetesObject;
  readonly profiles: readonly Profile[];
  /** Name of the file it goes to. */
  readonly group: string;
}

/** The objects of all profiles, each once for every form that it has. */
export function variantsOf(manifest: (profile: Profile) => readonly KubernetesObject[]): readonly Variant[] {
  const found = new Map<string, { object: KubernetesObject; profiles: Profile[] }>();
  for (const profile of PROFILES) {
    for (const object of manifest(profile)) {
      const key = `${identityOf(object)} ${JSON.stringify(object)}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { object, profiles: [profile] });
      else known.profiles.push(profile);
    }
  }
  return [...found.values()].map((variant) => ({ ...variant, group: groupOf(variant.object) }));
}

/** Whether every profile has it. */
export function isCommon({ profiles }: Variant): boolean {
  return profiles.length === PROFILES.length;
}

function groupOf({ kind, metadata }: KubernetesObject): string {
  if (kind === "CustomResourceDefinition") return "crds";
  return metadata.labels?.app ?? "mesh";
}

/** Items by a name. */
export function grouped<T>(items: readonly T[], nameOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = nameOf(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
}
