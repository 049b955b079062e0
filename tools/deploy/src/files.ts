import { imageFiles } from "@lateen/images";
import { customResourceDefinitions } from "@lateen/manifests";
import { yamlFile } from "./yaml-file.ts";

/** Every generated file of `deploy/`, by its path there. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const files = new Map(imageFiles());
  const crds = customResourceDefinitions();
  for (const crd of crds) files.set(`kubernetes/crds/${crd.metadata.name}.yaml`, yamlFile(crd));
  files.set(
    "kubernetes/crds/kustomization.yaml",
    yamlFile({
      apiVersion: "kustomize.config.k8s.io/v1beta1",
      kind: "Kustomization",
      resources: crds.map(({ metadata }) => `${metadata.name}.yaml`),
    }),
  );
  return files;
}
