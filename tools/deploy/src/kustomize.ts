import { type KubernetesObject, manifestOf, PROFILES, type Profile, settingsOf } from "@lateen/manifests";
import { parts } from "./parts.ts";
import { grouped, isCommon, type Variant, variantsOf } from "./variants.ts";
import { yamlFile } from "./yaml-file.ts";

/** Kustomize's folders: custom resource definitions, what all profiles have, and the profiles on top of it. Paths are below `deploy/`. */
export function kustomizeFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const variants = variantsOf((profile) => manifestOf(settingsOf(profile), parts));
  const inFiles = (folder: string, those: readonly Variant[], resources: readonly string[]) => {
    const names: string[] = [];
    for (const [group, members] of grouped(those, (variant) => variant.group)) {
      names.push(`${group}.yaml`);
      files.set(`${folder}/${group}.yaml`, yamlFile(...members.map(({ object }) => object)));
    }
    files.set(`${folder}/kustomization.yaml`, kustomization([...resources, ...names.sort()]));
  };
  const crds = variants.filter(({ group }) => group === "crds").map(({ object }) => object);
  for (const crd of crds) files.set(`kubernetes/crds/${crd.metadata.name}.yaml`, yamlFile(crd));
  files.set("kubernetes/crds/kustomization.yaml", kustomization(crds.map(fileOf)));
  inFiles(
    "kubernetes/base",
    variants.filter((variant) => isCommon(variant) && variant.group !== "crds"),
    ["../crds"],
  );
  for (const profile of PROFILES)
    inFiles(`kubernetes/profiles/${profile}`, ofProfile(variants, profile), ["../../base"]);
  return files;
}

function ofProfile(variants: readonly Variant[], profile: Profile): readonly Variant[] {
  return variants.filter((variant) => !isCommon(variant) && variant.profiles.includes(profile));
}

function fileOf({ metadata }: KubernetesObject): string {
  return `${metadata.name}.yaml`;
}

function kustomization(resources: readonly string[]): string {
  return yamlFile({ apiVersion: "kustomize.config.k8s.io/v1beta1", kind: "Kustomization", resources });
}
