import { imageFiles } from "@lateen/images";
import { helmFiles } from "./helm.ts";
import { kustomizeFiles } from "./kustomize.ts";

/** Every generated file of `deploy/`, by its path there. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([...imageFiles(), ...kustomizeFiles(), ...helmFiles()]);
}
